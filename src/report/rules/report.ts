/** A privilege rule with what every host makes of it, and the JSON of `startup32 explain`, as types. */
import type { HostAction, HostName } from '../../../boot-protocols/hosts/index.ts';
import type { RuleClass } from '../../../emulator/privilege/index.ts';

export interface ConditionReport {
  readonly when: string;
  readonly outcome: 'as-asked' | 'silent' | 'fault';
  readonly effect: string;
  readonly vector?: string;
  readonly errorCode?: string;
}

export interface HostReport {
  readonly host: HostName;
  readonly does: HostAction;
  readonly text: string;
  readonly citation: string;
  /** Linux versions, for lguest; both inclusive. */
  readonly since?: string;
  readonly until?: string;
}

export interface RuleReport {
  readonly id: string;
  readonly instruction: string;
  readonly class: RuleClass;
  readonly forms: readonly { readonly opcode: string; readonly syntax: string }[];
  readonly condition: string;
  readonly result: string;
  /** The first condition that holds decides. */
  readonly conditions: readonly ConditionReport[];
  readonly operands?: string;
  readonly reason: string;
  readonly citation: string;
  readonly hosts: readonly HostReport[];
}

export interface ExplainReport {
  readonly schema: 'startup32/explain@1';
  /** The instructions that were asked for by their bytes. */
  readonly instructions?: readonly {
    readonly bytes: string;
    readonly text: string;
    /** Bytes of the operand that were not given. */
    readonly missing: number;
    readonly rule?: string;
    /** It does not run at every CPL, and no rule is about it: no CPU model has it. */
    readonly privileged?: true;
  }[];
  readonly rules: readonly RuleReport[];
}
