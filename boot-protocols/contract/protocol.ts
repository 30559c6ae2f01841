/**
 * `contract`: the generic paravirtual loader that the 2007 discussion of the 32-bit entry came to. Nothing is there but
 * what the boot protocol 2.07 says: flat segments that the kernel is to keep, boot_params, and memory mapped 1:1.
 * Linux commits a24e785111a and e5371ac566b (2.6.24); boot.rst, "hardware_subarch" and "loadflags".
 */
import type { EntryState, MemoryBank } from '../../emulator/entry-state.ts';
import { FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, settleKnobs, startedBy } from '../knobs.ts';
import { loadedHigh, loadflags, placeBootData, placeImage, shownVersion } from '../linux/boot-data.ts';
import * as layout from '../linux/layout.ts';
import { checkEntry, checkFits } from '../linux/placement.ts';
import { loaderMemory } from '../loader-memory.ts';
import { UNKNOWN_ENVIRONMENT } from '../promises.ts';
import type { BootOptions } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, mapIdentity } from '../regions.ts';
import { CR0_PROTECTED, entryControl, entryRegisters } from '../registers.ts';
import {
  BOOT_CS_INDEX,
  BOOT_DS_INDEX,
  BOOT_GDT_ENTRIES,
  bootGdt,
  flatSegments,
  gdtr,
  NO_SYSTEM_TABLES,
} from '../segments.ts';
import { tryStart } from '../startable.ts';
import { CONTRACT_ADVICE, CONTRACT_REACTIONS } from './reactions.ts';

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(contract, options, image);
  const { ring, paging } = knobs;
  const placed = placeImage(image, knobs);
  checkFits(image, placed, knobs.memory);
  checkEntry(image, placed);
  const ram: MemoryBank = { name: 'RAM', start: 0, size: knobs.memory, kind: 'ram' };
  const data = placeBootData(
    image,
    knobs,
    { below: knobs.memory, initrdFrom: 0, taken: placed.regions },
    {
      signature: true,
      version: shownVersion(image, layout.VERSION_2_07, true),
      typeOfLoader: layout.LOADER_UNDEFINED,
      loadflags: loadflags(knobs.keepSegments, loadedHigh(image)),
      hardwareSubarch: knobs.subarch,
      ...(placed.code32Start === undefined ? {} : { code32Start: placed.code32Start }),
      ...(placed.kernelAlignment === undefined ? {} : { kernelAlignment: placed.kernelAlignment }),
      e820: [{ start: 0, size: knobs.memory, type: layout.E820_RAM }],
    },
  );
  const own = loaderMemory({
    owner: 'loader',
    mode: paging,
    // Ring 3 runs on user pages only (SDM vol. 3, 4.6); to rings 0 to 2 the bit makes no difference.
    mappings: mapIdentity(
      [...placed.ranges, ...data.regions].map(({ name, start, size }) => ({ name, start, size })),
    ),
    ...(knobs.gdt === 'flat' ? { gdt: bootGdt(ring) } : {}),
  });
  const banks = [ram, ...own.banks];
  return {
    ...startedBy(contract, knobs),
    ring,
    registers: entryRegisters(
      // boot.rst, "32-bit boot protocol".
      {
        esi: { value: data.bootParams.start, meaning: 'boot_params (physical)' },
        ebp: { value: 0 },
        edi: { value: 0 },
        ebx: { value: 0 },
      },
      'poison',
    ),
    eip: placed.entry,
    eflags: FLAG_RESERVED_1,
    segments: flatSegments(ring, BOOT_CS_INDEX, BOOT_DS_INDEX, { value: 'null', promised: false }),
    ...NO_SYSTEM_TABLES,
    gdtr: gdtr(knobs.gdt, own.gdtBase, BOOT_GDT_ENTRIES),
    control: entryControl(CR0_PROTECTED, paging, own.cr3),
    promises: UNKNOWN_ENVIRONMENT,
    paging: own.paging,
    banks,
    regions: arrangeRegions([...placed.regions, ...data.regions, ...own.regions], banks),
    structures: [data.structure],
    platform: { hypervisor: ring === 0 ? 'none' : 'generic', hypercallVectors: [], cpuModel: knobs.cpu },
  };
}

export const contract: KnobbedProtocol = {
  name: 'contract',
  summary: 'a generic paravirtual loader: what boot protocol 2.07 promises and nothing else; every knob',
  page: 'protocols/contract.md',
  knobs: [
    'memory',
    'cmdline',
    'initrd',
    'loadAddress',
    'ring',
    'paging',
    'gdt',
    'keepSegments',
    'subarch',
    'poison',
    'cpu',
  ],
  unpacks: false,
  defaults: {
    ring: 1,
    paging: 'off',
    gdt: 'none',
    keepSegments: true,
    subarch: layout.SUBARCH_PC,
    cpu: 'i686-hv',
  },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(CONTRACT_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(CONTRACT_ADVICE, stop, image, entry),
};
