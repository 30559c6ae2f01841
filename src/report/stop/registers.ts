/** CPU state as JSON, and as the dump that QEMU prints (`-d cpu`, target/i386/cpu-dump.c), in its order and letters. */
import type { CpuState } from '../../../emulator/cpu-state.ts';
import {
  FLAG_AF,
  FLAG_CF,
  FLAG_DF,
  FLAG_IF,
  FLAG_OF,
  FLAG_PF,
  FLAG_SF,
  FLAG_ZF,
  iopl,
} from '../../../emulator/flags.ts';
import { SEGMENT_NAMES, type SegmentRegister } from '../../../emulator/segmentation.ts';
import { descriptorReport } from '../descriptor.ts';
import { bare, hex16, hex32, hex64 } from '../hex.ts';
import type { CpuReport, SegmentReport } from './report.ts';

/** The seven letters QEMU shows, with their EFLAGS bits. */
const FLAG_LETTERS = [
  ['D', FLAG_DF],
  ['O', FLAG_OF],
  ['S', FLAG_SF],
  ['Z', FLAG_ZF],
  ['A', FLAG_AF],
  ['P', FLAG_PF],
  ['C', FLAG_CF],
] as const;

const flagLetters = (eflags: number): string =>
  FLAG_LETTERS.map(([letter, bit]) => (eflags & bit ? letter : '-')).join('');

function segmentReport({ selector, descriptor }: SegmentRegister): SegmentReport {
  return {
    selector: hex16(selector),
    ...(descriptor && { descriptor: descriptorReport(descriptor) }),
  };
}

export function cpuReport(cpu: CpuState): CpuReport {
  const { registers: r, control: c } = cpu;
  const segment = (name: (typeof SEGMENT_NAMES)[number]): SegmentReport => segmentReport(cpu.segments[name]);
  return {
    eax: hex32(r.eax),
    ebx: hex32(r.ebx),
    ecx: hex32(r.ecx),
    edx: hex32(r.edx),
    esi: hex32(r.esi),
    edi: hex32(r.edi),
    ebp: hex32(r.ebp),
    esp: hex32(r.esp),
    eip: hex32(cpu.eip),
    eflags: hex32(cpu.eflags),
    flags: flagLetters(cpu.eflags),
    cpl: cpu.cpl,
    iopl: iopl(cpu.eflags),
    interrupts: (cpu.eflags & FLAG_IF) !== 0,
    segments: {
      es: segment('es'),
      cs: segment('cs'),
      ss: segment('ss'),
      ds: segment('ds'),
      fs: segment('fs'),
      gs: segment('gs'),
    },
    ldtr: segmentReport(cpu.ldtr),
    tr: segmentReport(cpu.tr),
    gdtr: { base: hex32(cpu.gdtr.base), limit: hex32(cpu.gdtr.limit) },
    idtr: { base: hex32(cpu.idtr.base), limit: hex32(cpu.idtr.limit) },
    cr0: hex32(c.cr0),
    cr2: hex32(c.cr2),
    cr3: hex32(c.cr3),
    cr4: hex32(c.cr4),
    efer: hex64(BigInt(c.efer)),
  };
}

const ZERO = '00000000';
const SEGMENT_KIND_WIDTH = 4;

function segmentLine(label: string, { selector, descriptor: d }: SegmentReport): string {
  const head = `${label.padEnd(3)}=${bare(selector)}`;
  if (!d) return `${head} ${ZERO} ${ZERO} ${ZERO}`;
  const hidden = `${head} ${bare(d.base)} ${bare(d.limit)} ${bare(d.flags)}`;
  if (!d.present) return hidden;
  const kind = d.attributes ? `${d.kind.padEnd(SEGMENT_KIND_WIDTH)} [${d.attributes}]` : d.kind;
  return `${hidden} DPL=${d.dpl} ${kind}`;
}

/**
 * The register dump. II (interrupt shadow), SMM and HLT are always 0 here and A20 is always on: no boot protocol starts a
 * kernel otherwise, and a stop at `hlt` is before it.
 */
export function registerDump(cpu: CpuReport): string[] {
  const upper = (name: 'eax' | 'ebx' | 'ecx' | 'edx' | 'esi' | 'edi' | 'ebp' | 'esp'): string =>
    `${name.toUpperCase()}=${bare(cpu[name])}`;
  return [
    [upper('eax'), upper('ebx'), upper('ecx'), upper('edx')].join(' '),
    [upper('esi'), upper('edi'), upper('ebp'), upper('esp')].join(' '),
    `EIP=${bare(cpu.eip)} EFL=${bare(cpu.eflags)} [${cpu.flags}] CPL=${cpu.cpl} II=0 A20=1 SMM=0 HLT=0`,
    ...SEGMENT_NAMES.map(name => segmentLine(name.toUpperCase(), cpu.segments[name])),
    segmentLine('LDT', cpu.ldtr),
    segmentLine('TR', cpu.tr),
    `GDT=     ${bare(cpu.gdtr.base)} ${bare(cpu.gdtr.limit)}`,
    `IDT=     ${bare(cpu.idtr.base)} ${bare(cpu.idtr.limit)}`,
    `CR0=${bare(cpu.cr0)} CR2=${bare(cpu.cr2)} CR3=${bare(cpu.cr3)} CR4=${bare(cpu.cr4)}`,
    `EFER=${bare(cpu.efer)}`,
  ];
}
