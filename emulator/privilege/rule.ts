/**
 * One privilege rule: an instruction, the conditions under which the CPU lets it pass, and what it does otherwise.
 *
 * SDM section, table and figure numbers, here and everywhere in this repository, are those of the edition of May 2020
 * (order number 325462-072US); later ones have inserted chapters in volume 3.
 */
import type { Ring } from '../cpu-state.ts';

/** What a rule's conditions look at. */
export interface PrivilegeContext {
  readonly cpl: Ring;
  readonly iopl: number;
  readonly cr0: number;
  readonly cr4: number;
  /** EFLAGS.VM: virtual-8086 mode, where CPL is 3. */
  readonly vm86: boolean;
  /** Of POPF, PUSHF and IRET; 32 where it is not given. */
  readonly operandSize?: 16 | 32;
  /** EFLAGS.VIP; clear where it is not given. */
  readonly virtualInterruptPending?: boolean;
  /** What the I/O permission bitmap of the TSS says of the port; `denies` where it is not given. */
  readonly ioBitmap?: 'allows' | 'denies';
  /** The low word of IA32_SYSENTER_CS; no null selector where it is not given. */
  readonly sysenterCs?: number;
  /** VMXON has entered VMX operation; not where it is not given. */
  readonly vmxOperation?: boolean;
  /** IA32_EFER; 0 where it is not given. */
  readonly efer?: number;
}

/**
 * - `privileged`: needs CPL 0
 * - `iopl-sensitive`: needs CPL <= IOPL (ports: or the I/O permission bitmap)
 * - `silent`: never faults for privilege in protected mode; does something else instead
 */
export type RuleClass = 'privileged' | 'iopl-sensitive' | 'silent';

/** What the CPU makes of the instruction, as far as privilege decides it. */
export type Outcome =
  /** As in ring 0 of a bare machine. */
  | { readonly kind: 'as-asked' }
  /** No fault, and not what was asked, or not what a bare machine would show. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'fault'; readonly vector: number; readonly errorCode?: number };

/** One encoding, as the SDM writes it. */
export interface InstructionForm {
  /** `0F 01 /2`, `CD ib`. */
  readonly opcode: string;
  /** `LGDT m16&32`. */
  readonly syntax: string;
}

/** One line of a rule's table of conditions. */
export interface RuleResult {
  /** The condition in words, e.g. `CPL > IOPL`; `otherwise` holds always. */
  readonly when: string;
  readonly test: (context: PrivilegeContext) => boolean;
  readonly outcome: Outcome;
  /** What happens, in words, e.g. `#GP(0)`. */
  readonly effect: string;
}

export interface PrivilegeRule {
  /** The stable id: the mnemonic, `mov-to-cr` and the like for forms of MOV. */
  readonly id: string;
  /** As the manual writes it. */
  readonly instruction: string;
  readonly class: RuleClass;
  readonly forms: readonly InstructionForm[];
  /** When it runs as on bare hardware, in one line, e.g. `CPL = 0`. */
  readonly condition: string;
  /** What the CPU does otherwise, in one line, e.g. `#GP(0)`. */
  readonly result: string;
  /** All conditions; the first that holds decides, and the last one always holds. */
  readonly results: readonly RuleResult[];
  /** What the operands decide, whatever the privilege; a whole sentence. */
  readonly operands?: string;
  /** One sentence: why the rule is there. */
  readonly reason: string;
  readonly citation: string;
  /** True when the CPU would raise the fault (or for a silent rule: would not do what was asked). */
  readonly applies: (context: PrivilegeContext) => boolean;
  /** What the first condition that holds says. */
  readonly outcome: (context: PrivilegeContext) => Outcome;
}

type RuleDefinition = Omit<PrivilegeRule, 'applies' | 'outcome'> & {
  /** Where a Stop looks at less than the outcome does. */
  readonly applies?: (context: PrivilegeContext) => boolean;
};

export const AS_ASKED: Outcome = { kind: 'as-asked' };
export const SILENT: Outcome = { kind: 'silent' };

/** The line of the table that decides. */
export function resultOf(rule: Pick<PrivilegeRule, 'id' | 'results'>, context: PrivilegeContext): RuleResult {
  const found = rule.results.find(({ test }) => test(context));
  if (!found) throw new Error(`no condition of the rule ${rule.id} holds`);
  return found;
}

export function defineRule(definition: RuleDefinition): PrivilegeRule {
  const outcome = (context: PrivilegeContext): Outcome => resultOf(definition, context).outcome;
  return Object.freeze({
    applies: (context: PrivilegeContext): boolean => outcome(context).kind !== 'as-asked',
    ...definition,
    outcome,
  });
}

/** `0F 01 /2` with `LGDT m16&32`. */
export const form = (opcode: string, syntax: string): InstructionForm => ({ opcode, syntax });
