/** What the command line's parser hands to `state`. */
import type { StartFlags } from '../start-flags.ts';

/** The values of `state`'s options after parsing: `program.ts` says what each means. */
export interface StateFlags extends StartFlags {
  readonly format: 'text' | 'json';
  readonly all?: boolean;
  readonly write?: string;
  /** Two protocols, each with knobs of its own after it; the image too, where it stands behind them. */
  readonly diff?: readonly string[];
}
