/** Every privilege rule is generated at every privilege level at which it can be. Nothing is run here. */
import { describe, expect, it } from 'vitest';
import type { Ring } from '../../emulator/cpu-state.ts';
import { findRule, PRIVILEGE_RULES, ruleOfInstruction } from '../../emulator/privilege/index.ts';
import { arenaOf } from './arena.ts';
import { ARENA, END_VECTOR, type OracleCase } from './case.ts';
import { generateCase } from './generate/index.ts';

const SEED = 5;
const CASES = 32_000;
const RINGS: readonly Ring[] = [0, 1, 2, 3];

/** What no case can be about. */
const NOT_GENERATED: readonly { readonly rule: string; readonly ring: Ring; readonly why: string }[] = [
  { rule: 'hlt', ring: 0, why: 'it ends the case: nothing wakes the CPU' },
];

/** The bytes from the first instruction on; the builder writes the code last. */
function codeOf(oracleCase: OracleCase): Uint8Array {
  const { writes } = oracleCase;
  return writes.at(-1)?.bytes ?? new Uint8Array();
}

/**
 * The rules of the instructions that are reached, by privilege alone: up to the one that faults for it, or leaves the
 * straight line.
 */
function rulesOf(oracleCase: OracleCase): string[] {
  const { ring: cpl, eflags, cr0, cr4, efer, mode } = oracleCase;
  const context = { cpl, iopl: (eflags >>> 12) & 3, cr0, cr4, efer, vm86: mode === 'vm86' };
  const code = codeOf(oracleCase);
  const rules: string[] = [];
  for (let at = 0; at < code.length; ) {
    if (code[at] === 0xcd && code[at + 1] === END_VECTOR) break;
    const found = ruleOfInstruction(code.subarray(at), context.vm86 ? 16 : 32);
    if (!found) break;
    at += found.length;
    if (found.rule === undefined) continue;
    rules.push(found.rule);
    if (findRule(found.rule)?.outcome(context).kind === 'fault') break;
  }
  // A task switch has no opcode of its own.
  if (oracleCase.topic.startsWith('task-switch')) rules.push('task-switch');
  return rules;
}

const cases = Array.from({ length: CASES }, (_, index) => generateCase(SEED, index));
const generated = new Set(
  cases
    .filter(({ mode }) => mode === 'protected')
    .flatMap(oracleCase => rulesOf(oracleCase).map(rule => `${rule} ${oracleCase.ring}`)),
);

describe('the generator', () => {
  for (const { id } of PRIVILEGE_RULES) {
    it(`makes cases of ${id} at every CPL`, () => {
      const missing = RINGS.filter(
        ring =>
          !generated.has(`${id} ${ring}`) &&
          !NOT_GENERATED.some(exception => exception.rule === id && exception.ring === ring),
      );
      expect(missing).toEqual([]);
    });
  }

  it('makes no case of what is listed as not generated', () => {
    expect(NOT_GENERATED.filter(({ rule, ring }) => generated.has(`${rule} ${ring}`))).toEqual([]);
  });

  it('has the code in the arena where the case begins', () => {
    for (const oracleCase of cases.slice(0, 500)) {
      const { address, bytes } = oracleCase.writes.at(-1) ?? { address: ARENA, bytes: new Uint8Array() };
      expect(arenaOf(oracleCase).subarray(address - ARENA, address - ARENA + bytes.length)).toEqual(bytes);
    }
  });
});
