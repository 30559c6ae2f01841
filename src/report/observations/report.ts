/** What passed silently, as types of the JSON report. */
import type { Facts, FlagReport, PlaceReport } from '../parts.ts';

/** What an instruction gave the kernel. */
export interface SightReport {
  /** In words. */
  text: string;
  /** By name; addresses and register values as hex strings. */
  values: Facts;
}

export interface ObservedPlaceReport extends PlaceReport {
  /** Hex bytes, separated by spaces. */
  bytes: string;
  /** Disassembly. */
  text: string;
  /** Instructions retired before it; absent when the run was not counted. */
  instructions?: number;
}

/** What a kernel that is paravirtual in ring 0 was to do. */
export interface InsteadReport {
  /** In a few words: `hypercall set_gdt`. */
  by: string;
  sentence: string;
  citation: string;
}

/** A silent instruction that ran outside ring 0, or a privileged one of a kernel that is paravirtual in ring 0. */
export interface ObservationReport {
  /** Id of the rule, e.g. `pushf`. */
  rule: string;
  count: number;
  /** False when `count` is a lower bound. */
  counted: boolean;
  first: ObservedPlaceReport;
  /** Where `saw` and `bare` are from, when that is not the first place. */
  place?: ObservedPlaceReport;
  saw: SightReport;
  /** The same at CPL 0, as a PC boot loader starts a kernel. */
  bare: SightReport;
  differs: boolean;
  /** POPF and IRET: flags asked for and not given. */
  lost?: FlagReport[];
  /** The instruction was a violation: this was to be done in its place. */
  instead?: InsteadReport;
}
