/** Parts of the JSON report that several files use. */

/** An address and its name. */
export interface PlaceReport {
  /** Linear. */
  address: string;
  /** The nearest symbol, e.g. `startup_32+0x1`. */
  symbol?: string;
}

/** Values that belong to one kind of stop, by name. */
export type Facts = Record<string, string | number | boolean>;

/** A segment's hidden part, or an entry of a descriptor table. */
export interface DescriptorReport {
  base: string;
  /** In bytes, inclusive. */
  limit: string;
  /** High dword of the descriptor. */
  flags: string;
  dpl: number;
  present: boolean;
  /** `CS32`, `DS`, `TSS32-busy` …, as QEMU spells it. */
  kind: string;
  /** `CRA` or `EWA` with dashes; empty for a system segment. */
  attributes: string;
}

/** What a POPF or IRET makes of a flag, or of IOPL as a number. */
export interface FlagReport {
  flag: string;
  before: number;
  requested: number;
  after: number;
}
