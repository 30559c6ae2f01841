/**
 * `kexec`: one Linux starts the next. kexec-tools 2.0.25 loads it (kexec/arch/i386), the running kernel jumps into the
 * purgatory (Linux arch/x86/kernel/{machine_kexec_32.c,relocate_kernel_32.S}), and that to the new kernel
 * (purgatory/arch/i386/entry32.S).
 */
import { CR0_MP, CR0_NE } from '../../emulator/control-bits.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { ARITHMETIC_FLAGS, FLAG_PF, FLAG_RESERVED_1, FLAG_ZF } from '../../emulator/flags.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, settleKnobs, startedBy } from '../knobs.ts';
import * as linux from '../linux/layout.ts';
import { checkClash, checkEntry, checkFits, checkInRam } from '../linux/placement.ts';
import { loaderMemory } from '../loader-memory.ts';
import * as pcMap from '../pc/memory-map.ts';
import { PROMISES_OF_BOOT_RST } from '../promises.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, mapIdentity } from '../regions.ts';
import { CR0_PROTECTED, entryControl, entryRegisters } from '../registers.ts';
import { BOOT_CS_INDEX, BOOT_DS_INDEX, flatSegments, gdtr, NO_SYSTEM_TABLES } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { loadBzImage } from './load-bzimage.ts';
import { loadElf } from './load-elf.ts';
import { GDT_ENTRIES } from './purgatory.ts';
import { KEXEC_ADVICE, KEXEC_REACTIONS } from './reactions.ts';

/** Linux's CR0 (0x80050033) as relocate_kernel leaves it: without PG, AM, WP, TS and EM. */
const CR0_RELOCATE_KERNEL = CR0_PROTECTED | CR0_MP | CR0_NE;

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(kexec, options, image);
  const { ring, paging } = knobs;
  if (knobs.memory <= pcMap.EXTENDED_MEMORY) {
    throw new ProtocolError(
      'bad-knob',
      `--memory is ${knobs.memory}; a PC needs more than 1048576 bytes`,
      true,
    );
  }
  const ram = pcMap.banks(knobs.memory);
  const load = image.format === 'bzimage' ? loadBzImage(image, knobs) : loadElf(image, knobs);
  checkEntry(image, load.image);
  checkFits(image, load.image, knobs.memory);
  checkInRam(image, load.image, ram);
  checkClash(image, load.image, pcMap.firmware(), 'a PC');
  checkClash(image, load.image, load.regions, 'kexec-tools');
  const own = loaderMemory({
    owner: 'loader',
    mode: paging,
    mappings: mapIdentity(ram.map(bank => ({ ...bank, writable: bank.kind === 'ram' }))),
  });
  const banks = [...ram, ...own.banks];
  return {
    ...startedBy(kexec, knobs),
    ring,
    registers: entryRegisters(
      {
        esi: { value: load.bootParams, meaning: 'boot_params (physical)' },
        esp: { value: load.purgatory.stackEnd, meaning: "the end of the purgatory's stack" },
      },
      'zero',
    ),
    eip: load.image.entry,
    // post_verification_setup_arch ends with a test of jump_back_entry, which is 0 (Debian's kexec-tools 2.0.25-3).
    eflags: FLAG_RESERVED_1 | FLAG_PF | FLAG_ZF,
    segments: flatSegments(ring, BOOT_CS_INDEX, BOOT_DS_INDEX, { value: 'data', promised: true }),
    ...NO_SYSTEM_TABLES,
    gdtr: gdtr(knobs.gdt, load.purgatory.gdtBase, GDT_ENTRIES),
    control: entryControl(CR0_RELOCATE_KERNEL, paging, own.cr3),
    // The arithmetic flags are what the purgatory's C code has come to.
    promises: { ...PROMISES_OF_BOOT_RST, gdt: knobs.gdt === 'flat', eflags: ~ARITHMETIC_FLAGS >>> 0 },
    paging: own.paging,
    banks,
    regions: arrangeRegions(
      [...pcMap.firmware(), ...load.image.regions, ...load.regions, ...own.regions],
      banks,
    ),
    structures: [load.structure],
    platform: { hypervisor: ring === 0 ? 'none' : 'generic', hypercallVectors: [], cpuModel: knobs.cpu },
  };
}

export const kexec: KnobbedProtocol = {
  name: 'kexec',
  summary: 'one Linux starts the next: what kexec-tools and its purgatory hand over, ring 0, paging off',
  page: 'protocols/kexec.md',
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
    ring: 0,
    paging: 'off',
    gdt: 'flat',
    keepSegments: false,
    subarch: linux.SUBARCH_PC,
    cpu: 'i686',
  },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(KEXEC_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(KEXEC_ADVICE, stop, image, entry),
};
