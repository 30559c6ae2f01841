/** CPU state as JSON, and as the dump that QEMU prints (`-d cpu`, target/i386/cpu-dump.c), in its order and letters. */
import type { CpuState } from '../../emulator/cpu-state.ts';
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
} from '../../emulator/flags.ts';
import {
  type Descriptor,
  encodeDescriptor,
  isCode,
  SEGMENT_NAMES,
  type SegmentRegister,
} from '../../emulator/segmentation.ts';
import { bare, hex16, hex32, hex64 } from './hex.ts';
import type { DescriptorReport } from './operand-report.ts';
import type { CpuReport, SegmentReport } from './stop-report.ts';

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

/** System descriptor types in 32-bit mode (SDM vol. 3, table 3-2), spelt as QEMU spells them. */
const SYSTEM_TYPES = [
  'Reserved',
  'TSS16-avl',
  'LDT',
  'TSS16-busy',
  'CallGate16',
  'TaskGate',
  'IntGate16',
  'TrapGate16',
  'Reserved',
  'TSS32-avl',
  'Reserved',
  'TSS32-busy',
  'CallGate32',
  'Reserved',
  'IntGate32',
  'TrapGate32',
] as const;

const TYPE_ACCESSED = 1;
const TYPE_READ_WRITE = 2;
const TYPE_CONFORMING_DOWN = 4;

const flagLetters = (eflags: number): string =>
  FLAG_LETTERS.map(([letter, bit]) => (eflags & bit ? letter : '-')).join('');

function descriptorKind(d: Descriptor): string {
  if (!d.codeOrData) return SYSTEM_TYPES[d.type] ?? 'Reserved';
  if (isCode(d)) return d.long ? 'CS64' : d.big ? 'CS32' : 'CS16';
  return d.big ? 'DS' : 'DS16';
}

function descriptorAttributes(d: Descriptor): string {
  if (!d.codeOrData) return '';
  const letter = (bit: number, name: string): string => (d.type & bit ? name : '-');
  return isCode(d)
    ? letter(TYPE_CONFORMING_DOWN, 'C') + letter(TYPE_READ_WRITE, 'R') + letter(TYPE_ACCESSED, 'A')
    : letter(TYPE_CONFORMING_DOWN, 'E') + letter(TYPE_READ_WRITE, 'W') + letter(TYPE_ACCESSED, 'A');
}

export const descriptorReport = (d: Descriptor): DescriptorReport => ({
  base: hex32(d.base),
  limit: hex32(d.limit),
  flags: hex32(encodeDescriptor(d).high),
  dpl: d.dpl,
  present: d.present,
  kind: descriptorKind(d),
  attributes: descriptorAttributes(d),
});

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
