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
