/**
 * `startup-paravirt`: the environments between which the probe at startup_32 had to tell before there was a boot protocol
 * for it. Linux 2.6.20 and 2.6.21 asked for the ring alone (commit c9ccf30d77f0, arch/i386/kernel/head.S; reverted by
 * 5a18c92aab5a); as Zach Amsden proposed it, paging that is already on was to count as well.
 */
import type { EntryState, MemoryBank, PageMapping } from '../../emulator/entry-state.ts';
import { FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, startedBy } from '../knobs.ts';
import { placeImage } from '../linux/boot-data.ts';
import { checkEntry, checkFits } from '../linux/placement.ts';
import { loaderMemory } from '../loader-memory.ts';
import { pc } from '../pc/protocol.ts';
import { UNKNOWN_ENVIRONMENT } from '../promises.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
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
import { STARTUP_PARAVIRT_ADVICE, STARTUP_PARAVIRT_REACTIONS } from './reactions.ts';

/** The 3G/1G split: startup_paravirt takes its stack by its link address (head.S of 2.6.20). */
const PAGE_OFFSET = 0xc0000000;
/** What Linux maps there at most: 896 MiB. */
const LOW_MEMORY_MAX = 0x38000000;

/** What is asked by the probe: neither of the two. */
const isNative = ({ ring, paging }: Knobs): boolean => ring === 0 && paging === 'off';

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(startupParavirt, options, image);
  const entry = isNative(knobs) ? nativeState(image, knobs, options) : hypervisorState(image, knobs);
  return { ...entry, ...startedBy(startupParavirt, knobs) };
}

/** A PC boot loader's state. */
function nativeState(image: KernelImage, knobs: Knobs, options: BootOptions): EntryState {
  const { ring, paging, gdt, cpu } = knobs;
  return pc.entryState(image, { ...options, ring, paging, gdt, cpu });
}

/** No boot_params: what a hypervisor has to say is in registers that only its own probe function knows how to read. */
function hypervisorState(
  image: KernelImage,
  knobs: Knobs,
): Omit<EntryState, 'protocol' | 'knobs' | 'poison'> {
  checkNoBootData(knobs);
  const { ring, paging, memory } = knobs;
  const placed = placeImage(image, knobs);
  checkFits(image, placed, memory);
  checkEntry(image, placed);
  const ram: MemoryBank = { name: 'RAM', start: 0, size: memory, kind: 'ram' };
  const own = loaderMemory({
    owner: 'hypervisor',
    mode: paging,
    mappings: [...mapIdentity([ram]), ...atPageOffset(memory)],
    ...(knobs.gdt === 'flat' ? { gdt: bootGdt(ring) } : {}),
  });
  const banks = [ram, ...own.banks];
  return {
    ring,
    registers: entryRegisters({}, 'poison'),
    eip: placed.entry,
    eflags: FLAG_RESERVED_1,
    segments: flatSegments(ring, BOOT_CS_INDEX, BOOT_DS_INDEX, { value: 'data', promised: false }),
    ...NO_SYSTEM_TABLES,
    gdtr: gdtr(knobs.gdt, own.gdtBase, BOOT_GDT_ENTRIES),
    control: entryControl(CR0_PROTECTED, paging, own.cr3),
    promises: UNKNOWN_ENVIRONMENT,
    paging: own.paging,
    banks,
    regions: arrangeRegions([...placed.regions, ...own.regions], banks),
    structures: [],
    platform: { hypervisor: 'generic', hypercallVectors: [], cpuModel: knobs.cpu },
  };
}

const atPageOffset = (memory: number): readonly PageMapping[] => [
  {
    linear: PAGE_OFFSET,
    physical: 0,
    size: Math.min(memory, LOW_MEMORY_MAX),
    writable: true,
    user: true,
    name: 'RAM at PAGE_OFFSET',
  },
];

/** A command line and an initrd are named in boot_params, and there is none. */
function checkNoBootData({ cmdline, initrd }: Knobs): void {
  const flag = cmdline === '' ? (initrd === undefined ? undefined : '--initrd') : '--cmdline';
  if (flag === undefined) return;
  throw new ProtocolError(
    'bad-knob',
    `${flag} is handed over in boot_params, and a hypervisor hands over none here; --ring 0 --paging off is the native environment, which has it`,
    true,
  );
}

export const startupParavirt: KnobbedProtocol = {
  name: 'startup-paravirt',
  summary:
    'the ring probe of Linux 2.6.20 and the one that asks for paging too: a hypervisor, or with --ring 0 --paging off a PC',
  page: 'protocols/startup-paravirt.md',
  knobs: ['memory', 'cmdline', 'initrd', 'loadAddress', 'ring', 'paging', 'gdt', 'poison', 'cpu'],
  unpacks: false,
  defaults: { ring: 1, paging: '32-bit', gdt: 'flat', keepSegments: false, subarch: 0, cpu: 'i686-hv' },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(STARTUP_PARAVIRT_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(STARTUP_PARAVIRT_ADVICE, stop, image, entry),
};
