/** One instruction at a time, done by the CPU. */
import type { DecodedInstruction } from '../decode/instruction.ts';
import type { Sensitivity } from '../decode/sensitivity.ts';
import { FLAG_ZF } from '../flags.ts';
import type { Guest } from '../guest.ts';
import type { Outcome } from '../unicorn/processor.ts';
import { isUndone } from './faults.ts';
import type { BlockGate } from './gate.ts';

/** Instructions after which rings, segments, tables or the mapping may be others. */
const CHANGES_STATE = new Set<Sensitivity['type']>([
  'segment-load',
  'far-transfer',
  'iret',
  'fast-call',
  'rule',
]);
/** Rules of instructions that flush the TLB. */
const FLUSHES = new Set(['invlpg', 'mov-to-cr']);
/** Instructions at which the CPU itself reads the GDT. */
const READS_DESCRIPTORS = new Set<Sensitivity['type']>([
  'segment-load',
  'far-transfer',
  'iret',
  'fast-call',
  'descriptor-read',
]);

/** Lets the CPU do exactly the instruction at EIP; of a repeated one, all iterations. */
export function step(guest: Guest, gate: BlockGate, eip: number, instruction: DecodedInstruction): Outcome {
  const { processor } = guest;
  const { sensitivity, fallsThrough, repeated, length } = instruction;
  const opens = sensitivity !== undefined && READS_DESCRIPTORS.has(sensitivity.type);
  // Without a call for every block there is no way to stop after a branch.
  const watchAll = processor.watching === 'new' && !fallsThrough;
  if (watchAll) processor.watch('every');
  if (gate.takeStale()) processor.drop(eip, eip + length);
  if (opens) guest.guard(false);
  gate.startStep(eip, !fallsThrough);
  // Nothing can be fetched there: it faults.
  const next = length === 0 || !guest.mayFetch(eip) ? undefined : (eip + length) >>> 0;
  const before = processor.readRegisters();
  const { eflags } = processor;
  const outcome = processor.run(eip, next, repeated);
  // A repeated string instruction is done in part.
  if (!repeated && isUndone(outcome, eip, guest)) processor.restore(eip, before, eflags);
  gate.finish();
  if (opens) guest.guard(true);
  if (watchAll) processor.watch('new');
  return outcome;
}

/** Whether the counter sees the instruction that {@link step} does now. */
export const isStepCounted = ({ processor }: Guest, { fallsThrough }: DecodedInstruction): boolean =>
  processor.watching !== 'new' || !fallsThrough;

/** The instruction has been done: what is in the tables counts from here on, even if a register keeps its value. */
export function refreshAfter(guest: Guest, { sensitivity }: DecodedInstruction): void {
  if (!sensitivity || !CHANGES_STATE.has(sensitivity.type)) return;
  if (sensitivity.type === 'rule' && FLUSHES.has(sensitivity.rule)) guest.mappingChanged = true;
  guest.refresh(guest.cpu());
}

/** The instruction at EIP alone, where the engine stumbles over what stands behind it. */
export function trapStep(guest: Guest, gate: BlockGate): Outcome {
  const { processor } = guest;
  const { eip } = processor;
  guest.counter.leave(eip);
  gate.startStep(eip, true);
  const { eflags, registers } = guest.cpu();
  const outcome = processor.trapStep(eip, eflags);
  if (isUndone(outcome, eip, guest)) processor.restore(eip, registers, eflags);
  gate.finish();
  return outcome;
}

/**
 * Has the repeated string instruction at EIP find a smaller number of iterations in (E)CX.
 *
 * @returns what is to be called when it is done: ECX is what it is after so many iterations, and EIP is at the
 * instruction again when the result is true
 */
export function limitIterations(
  guest: Guest,
  instruction: DecodedInstruction,
  iterations: number,
): () => boolean {
  const { processor } = guest;
  const { eip } = processor;
  const { addressSize, repeatsWhileZero } = instruction;
  const mask = addressSize === 16 ? 0xffff : 0xffffffff;
  const { ecx } = processor.readRegisters();
  const rest = ((ecx & mask) >>> 0) - iterations;
  processor.writeRegister('ecx', ((ecx & ~mask) | iterations) >>> 0);
  return () => {
    const now = processor.readRegisters().ecx;
    const left = (now & mask) >>> 0;
    processor.writeRegister('ecx', ((now & ~mask) | ((left + rest) & mask)) >>> 0);
    const isZero = (processor.eflags & FLAG_ZF) !== 0;
    const isUnfinished = left === 0 && (repeatsWhileZero === undefined || repeatsWhileZero === isZero);
    if (isUnfinished) processor.eip = eip;
    return isUnfinished;
  };
}
