/** The stub's hand-over to the kernel proper, as it is in the JSON report. */

/** One thing of the state, as the stub was given it and as the kernel proper finds it. */
export interface HandOverRow {
  /** `ESI`, `CS`, `CR0`, `EFLAGS`, `paging` … */
  what: string;
  given: string;
  /** Whether the boot protocol promises it; absent where there is nothing to promise apart. */
  promised?: boolean;
  /** Only these bits of it are promised. */
  promisedBits?: string[];
  /** At the first instruction of the kernel proper. */
  found: string;
  same: boolean;
}

export interface HandOverReport {
  /** Where the kernel proper begins, and the physical address that it is linked for. */
  entry: string;
  linkedAt: string;
  /** The difference in hex, when it is not where it is linked for; with a sign. */
  moved?: string;
  rows: HandOverRow[];
}
