/** What the observer has to see of the instruction at EIP, in ring 0 and outside it. */

import type { Ring } from '../cpu-state.ts';
import type { DecodedInstruction } from '../decode/instruction.ts';
import type { Guest } from '../guest.ts';
import type { Comparison } from '../observe/observation.ts';
import { mustStop, type Situation } from '../sensitive/index.ts';
import { needsChecks } from './block-plan.ts';

/** Whether the instruction at EIP cannot simply run: what it is, or what the observer still wants to see. */
export function hasToBeSeen({ state, watch, observer }: Guest, eip: number, of: DecodedInstruction): boolean {
  if (of.sensitivity && mustStop(of.sensitivity, state, watch)) return true;
  const rule = observer.ruleOf(of, state.cpl, eip);
  const wanted =
    rule !== undefined && (state.cpl === 0 ? observer.wantsViolation(rule) : observer.wants(rule));
  return wanted || needsChecks(eip, of, state);
}

/** Looks at the instruction at EIP as the observer does where it is. */
export function observe(
  { state, observer, counter }: Guest,
  eip: number,
  instruction: DecodedInstruction,
  situation: () => Situation,
): Comparison | undefined {
  if (state.cpl !== 0) return observer.look(situation(), counter.retired);
  if (observer.ruleOf(instruction, 0, eip) === undefined) return undefined;
  return observer.lookInRing0(situation(), counter.retired);
}

/** An instruction of this rule has retired at `cpl`, and the counter has not seen it. */
export function noteRetired({ observer }: Guest, rule: string | undefined, cpl: Ring): void {
  if (rule === undefined) return;
  if (cpl === 0) observer.addInRing0(rule);
  else observer.add(rule);
}
