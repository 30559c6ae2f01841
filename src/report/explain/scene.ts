/** What an explanation is made from and what it is. */
import type { EntryState } from '../../../emulator/entry-state.ts';
import type { PrivilegeRule, RuleResult } from '../../../emulator/privilege/index.ts';
import type { StopKind, StopOf } from '../../../emulator/stop.ts';
import type { Names } from '../names.ts';
import type { Facts, FlagReport } from '../parts.ts';

/** The stop's surroundings, computed once. */
export interface Scene {
  readonly entry: EntryState;
  readonly names: Names;
  readonly cpl: number;
  readonly iopl: number;
  /** The instruction disassembled, e.g. `mov %eax,%cr3`; `the instruction` where it cannot be read. */
  readonly instruction: string;
  /** Its first word, e.g. `mov`. */
  readonly mnemonic: string;
  /** Traps that were answered before, in a run through all of them. */
  readonly answered: number;
  /** The run goes to the first instruction of the kernel proper. */
  readonly isHandOver?: boolean;
  /** The rule by its id, where the table has it. */
  rule(id: string): PrivilegeRule | undefined;
  hypercallName(number: number): string | undefined;
}

export interface Explanation {
  /** First words of the headline: `#GP(0)`, `popf`, `halt`. */
  readonly title: string;
  /** The rest of the headline, from the longest wording to the shortest. */
  readonly claims: readonly string[];
  readonly why: string;
  readonly rule?: PrivilegeRule;
  /** The line of its table that decided, where one did. */
  readonly line?: RuleResult;
  readonly details: readonly string[];
  readonly facts: Facts;
  /** POPF and IRET: flags that are asked to change, or that are not what was asked. */
  readonly eflags?: readonly FlagReport[];
}

export type Explainer<K extends StopKind> = (stop: StopOf<K>, scene: Scene) => Explanation;
export type Explainers<K extends StopKind> = { readonly [P in K]: Explainer<P> };

/** `lguest runs this kernel at CPL 1`, as long as that is where the protocol put it. */
export const whoRuns = ({ entry, cpl }: Scene): string =>
  cpl === entry.ring ? `${entry.protocol} runs this kernel at CPL ${cpl}` : `CPL is ${cpl} here`;
