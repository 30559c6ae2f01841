/**
 * The JSON report, `startup32/stop@1`, as types. The published JSON Schema (`schema/`) is held to them by the compiler.
 * Addresses and register values are hex strings of fixed width (`0x00100001`), counts are numbers.
 */
import type { Reaction } from '../../../boot-protocols/protocol.ts';
import type { RuleClass } from '../../../emulator/privilege/index.ts';
import type { SegmentName } from '../../../emulator/segmentation.ts';
import type { GateProblem, StopKind } from '../../../emulator/stop.ts';
import type { HandOverReport } from '../hand-over/report.ts';
import type { ObservationReport } from '../observations/report.ts';
import type { OperandReport } from '../operands/report.ts';
import type { DescriptorReport, Facts, FlagReport, PlaceReport } from '../parts.ts';

export interface ExceptionReport {
  vector: string;
  /** e.g. `#GP`. */
  mnemonic: string;
  /** e.g. `general protection`. */
  name: string;
  /** Absent for a vector that has none. */
  errorCode?: string;
}

/** Where the CPU would take the exception. */
export type DeliveryReport =
  | { to: 'hypervisor' }
  | { to: 'gate'; selector: string; offset: string }
  | { to: 'shutdown'; reason: GateProblem };

export interface CodeLine {
  address: string;
  /** Hex bytes, separated by spaces. */
  bytes: string;
  text: string;
  /** True for the instruction of the stop. */
  current: boolean;
}

/** The privilege rule behind the stop. */
export interface RuleReport {
  id: string;
  class: RuleClass;
  instruction: string;
  condition: string;
  /** The condition of the rule's table that decided here; absent where an operand or the CPU model did. */
  when?: string;
  /** What came of it here. */
  result: string;
  reason: string;
  citation: string;
}

/** A segment register; without a descriptor it holds the null selector. */
export interface SegmentReport {
  selector: string;
  descriptor?: DescriptorReport;
}

export interface TableReport {
  base: string;
  /** In bytes, inclusive. */
  limit: string;
}

export interface CpuReport {
  eax: string;
  ebx: string;
  ecx: string;
  edx: string;
  esi: string;
  edi: string;
  ebp: string;
  esp: string;
  eip: string;
  eflags: string;
  /** DOSZAPC as letters, a dash for a clear bit. */
  flags: string;
  cpl: number;
  iopl: number;
  /** EFLAGS.IF. */
  interrupts: boolean;
  segments: Record<SegmentName, SegmentReport>;
  ldtr: SegmentReport;
  tr: SegmentReport;
  gdtr: TableReport;
  idtr: TableReport;
  cr0: string;
  cr2: string;
  cr3: string;
  cr4: string;
  efer: string;
}

export interface StopReport {
  schema: 'startup32/stop@1';
  kind: StopKind;
  /** The whole story in one line of at most 100 characters. */
  headline: string;
  /** Where the CPU stands. */
  at: PlaceReport;
  exception?: ExceptionReport;
  delivery?: DeliveryReport;
  facts: Facts;
  /** `popf` and `iret`: flags that are asked to change, or that are not what was asked. */
  eflags?: FlagReport[];
  /** Silent instructions that ran outside ring 0, in the order of their first places. */
  observations: ObservationReport[];
  /** What the instruction was about to do, where that is more than its bytes say. */
  operand?: OperandReport;
  /** `--until payload`: what the kernel proper finds, against what the stub was given. */
  handOver?: HandOverReport;
  /** What else is known, a line each: page walk, neighbours, flags. */
  details: string[];
  /** Instructions retired before the stop. */
  instructions: number;
  /** False when `instructions` is a lower bound. */
  counted: boolean;
  code: {
    syntax: 'att' | 'intel';
    lines: CodeLine[];
    /** All lines together. */
    bytes: string;
    /** Index in the bytes of the instruction's first one; -1 when it cannot be read. */
    mark: number;
  };
  why: { text: string; rule?: RuleReport };
  /** What the system under the kernel would do. */
  means: { outcome: Reaction['outcome']; text: string; citation?: string };
  /** What to try, most useful first. */
  next: string[];
  cpu: CpuReport;
  /** Starts of the last blocks, oldest first. */
  trail: PlaceReport[];
  engine: { name: string; version: string };
  /** The CPU that the kernel sees. */
  cpuModel: string;
  image: { name: string; format: 'elf' | 'bzimage'; size: number; sha256: string };
  protocol: string;
  /** The protocol's knobs as they were set. */
  knobs: Record<string, string>;
  /** The command line that repeats this run. */
  command?: string;
  /** FNV-1a (64 bits) of the run's trace: 16 hexadecimal digits. */
  traceHash?: string;
  /** What the kernel printed on its serial port, byte for byte as Latin-1. */
  serial?: string;
  warnings: { code: string; message: string }[];
}
