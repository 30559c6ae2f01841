/** One privilege rule: an instruction, the condition under which the CPU lets it pass, and what it does otherwise. */
import type { Ring } from '../cpu-state.ts';

/** What a rule's condition looks at. */
export interface PrivilegeContext {
  readonly cpl: Ring;
  readonly iopl: number;
  readonly cr0: number;
  readonly cr4: number;
}

/**
 * - `privileged`: needs CPL 0
 * - `iopl-sensitive`: needs CPL <= IOPL (ports: or the I/O permission bitmap)
 * - `silent`: never faults for privilege; does something else instead
 */
export type RuleClass = 'privileged' | 'iopl-sensitive' | 'silent';

export interface PrivilegeRule {
  /** The stable id: the mnemonic, `mov-to-cr` and the like for forms of MOV. */
  readonly id: string;
  /** As the manual writes it. */
  readonly instruction: string;
  readonly class: RuleClass;
  /** When it runs as on bare hardware, e.g. `CPL = 0`. */
  readonly condition: string;
  /** What the CPU does otherwise, e.g. `#GP(0)`. */
  readonly result: string;
  /** One sentence: why the rule is there. */
  readonly reason: string;
  readonly citation: string;
  /** True when the CPU would raise the fault (or for a silent rule: would not do what was asked). */
  readonly applies: (context: PrivilegeContext) => boolean;
}

export const defineRule = (rule: PrivilegeRule): PrivilegeRule => Object.freeze(rule);
