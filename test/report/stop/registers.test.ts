/** Order, letters and widths: QEMU, target/i386/cpu-dump.c, x86_cpu_dump_state and cpu_x86_dump_seg_cache. */
import { expect, it } from 'vitest';
import { decodeDescriptor } from '../../../emulator/segmentation.ts';
import { cpuReport, registerDump } from '../../../src/report/stop/registers.ts';
import { cpuState } from '../../support/stops.ts';

it('prints registers, segments, tables and control registers as QEMU does', () => {
  expect(registerDump(cpuReport(cpuState()))).toEqual([
    'EAX=dead0000 EBX=dead0003 ECX=dead0001 EDX=dead0002',
    'ESI=00000000 EDI=dead0007 EBP=dead0006 ESP=00000000',
    'EIP=00100001 EFL=00000002 [-------] CPL=1 II=0 A20=1 SMM=0 HLT=0',
    'ES =0069 00000000 ffffffff 00cfb300 DPL=1 DS   [-WA]',
    'CS =0061 00000000 ffffffff 00cfbb00 DPL=1 CS32 [-RA]',
    'SS =0069 00000000 ffffffff 00cfb300 DPL=1 DS   [-WA]',
    'DS =0069 00000000 ffffffff 00cfb300 DPL=1 DS   [-WA]',
    'FS =0000 00000000 00000000 00000000',
    'GS =0000 00000000 00000000 00000000',
    'LDT=0000 00000000 0000ffff 00008200 DPL=0 LDT',
    'TR =0000 00000000 0000ffff 00008b00 DPL=0 TSS32-busy',
    'GDT=     03fff000 0000007f',
    'IDT=     00000000 00000000',
    'CR0=80000011 CR2=00000000 CR3=03ffe000 CR4=00000000',
    'EFER=0000000000000000',
  ]);
});

it('shows the flags as DOSZAPC with a dash for a clear one', () => {
  const flags = (eflags: number): string => cpuReport(cpuState({ eflags })).flags;
  expect(flags(0x2)).toBe('-------');
  expect(flags(0x2 | 0x400 | 0x800 | 0x80 | 0x40 | 0x10 | 0x4 | 0x1)).toBe('DOSZAPC');
  expect(flags(0x2 | 0x40 | 0x4)).toBe('---Z-P-');
});

it('tells CS16, conforming and expand-down segments, and those that are not present', () => {
  const state = cpuState();
  const dump = registerDump(
    cpuReport({
      ...state,
      segments: {
        ...state.segments,
        // Type 0xf: conforming, readable, accessed code; D clear.
        cs: { selector: 0x8, descriptor: decodeDescriptor(0x0000ffff, 0x00009f00) },
        // Type 0x7: expand-down, writable, accessed data.
        ds: { selector: 0x10, descriptor: decodeDescriptor(0x0000ffff, 0x00cf9700) },
        fs: { selector: 0x18, descriptor: decodeDescriptor(0x0000ffff, 0x00cf1300) },
      },
    }),
  );
  expect(dump).toContain('CS =0008 00000000 0000ffff 00009f00 DPL=0 CS16 [CRA]');
  expect(dump).toContain('DS =0010 00000000 ffffffff 00cf9700 DPL=0 DS   [EWA]');
  expect(dump).toContain('FS =0018 00000000 ffffffff 00cf1300');
});
