/** What each protocol promises beside registers and segments, as its page in docs/protocols/ has it. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { findProtocol } from '../../boot-protocols/index.ts';
import type { BootOptions, ProtocolName } from '../../boot-protocols/protocol.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';

const NOTHING = {
  gdt: false,
  gdtr: false,
  idtr: false,
  ldtr: false,
  tr: false,
  cr2: 0,
  cr3: 0,
  cr4: 0,
  efer: 0,
};
const ALL = 0xffffffff;
const PE = 1;
const PE_PG = 0x80000001;
const PAE = 0x20;
const VM = 0x20000;
const IF = 0x200;
const TF = 0x100;
const IOPL = 0x3000;
/** CF, PF, AF, ZF, SF and OF: SDM vol. 1, 3.4.3.1. */
const ARITHMETIC = 0x8d5;

/** boot.rst, "32-bit boot protocol": nothing of LDTR, TR, IDTR and the other bits. */
const BOOT_RST = { ...NOTHING, selectors: true, gdt: true, eflags: VM | IF, cr0: PE_PG };
/** Whoever starts the kernel, in a ring and with paging that are not known. */
const UNKNOWN = { ...NOTHING, selectors: false, eflags: VM | IF | IOPL, cr0: PE };
const HYPERVISOR = { ...NOTHING, selectors: true, gdt: true, eflags: ALL, cr0: PE_PG };

it.each<readonly [ProtocolName, string, BootOptions, object]>([
  ['pc', 'native', {}, BOOT_RST],
  ['pc', 'native', { gdt: 'none' }, { ...BOOT_RST, gdt: false }],
  ['vmi', 'native', {}, BOOT_RST],
  ['startup-paravirt', 'native', { ring: 0, paging: 'off' }, BOOT_RST],
  // The purgatory's C code sets the arithmetic flags.
  ['kexec', 'native', {}, { ...BOOT_RST, eflags: (ALL & ~ARITHMETIC) >>> 0 }],
  ['contract', 'native', {}, UNKNOWN],
  ['contract', 'native', { gdt: 'flat' }, UNKNOWN],
  ['startup-paravirt', 'native', {}, UNKNOWN],
  ['lguest', 'native', {}, HYPERVISOR],
  ['xen', 'xen-hello', {}, { ...HYPERVISOR, cr3: ALL, cr4: PAE }],
  ['xen-supervisor', 'xen-ring0', {}, { ...HYPERVISOR, cr3: ALL, cr4: PAE }],
  ['xen-startup32', 'native', {}, { ...HYPERVISOR, selectors: false, eflags: VM, cr4: PAE }],
  // Multiboot 0.6.96, 3.2: selectors undefined, GDTR may be invalid.
  ['multiboot', 'multiboot', { gdt: 'flat' }, { ...NOTHING, selectors: false, eflags: VM | IF, cr0: PE_PG }],
  // pvh.pandoc: every writable bit of CR0 and CR4, the hidden part of TR.
  [
    'pvh',
    'pvh-hello',
    {},
    { ...NOTHING, selectors: false, tr: true, eflags: VM | IF | TF, cr0: ALL, cr4: ALL },
  ],
])('%s of %s with %o', (name, image, options, promises) => {
  const kernel = readKernelImage(readFileSync(`images/${image}/${image}.elf`), { name: image });
  expect(findProtocol(name).entryState(kernel, options).promises).toEqual(promises);
});
