/** Where a block has to be stopped in: what is sensitive in it, held against the present state of the CPU. */
import type { Block } from '../blocks.ts';
import { branchOffset } from '../decode/branch.ts';
import { type DecodedInstruction, decodeInstruction } from '../decode/instruction.ts';
import type { Guest } from '../guest.ts';
import { mustStop, type PrivilegeState } from '../sensitive/index.ts';

const NOWHERE = Number.POSITIVE_INFINITY;

/**
 * The first instruction of the block that cannot simply run in the present state.
 *
 * @returns its linear address; kept in the block until the state is another
 */
export function plannedStop(block: Block, guest: Guest): number | undefined {
  const { state, watch, observer } = guest;
  if (block.plan.context !== state.key || block.plan.observed !== observer.version) {
    const sensitive = block.sensitive.find(({ sensitivity }) => mustStop(sensitivity, state, watch));
    const offset = Math.min(
      sensitive?.offset ?? NOWHERE,
      observer.firstOf(block, state.cpl) ?? NOWHERE,
      firstCheckedAccess(block, guest),
    );
    const stopAt = offset === NOWHERE ? undefined : block.start + offset;
    block.plan = { context: state.key, observed: observer.version, stopAt };
  }
  return block.plan.stopAt;
}

/** Offset of the first instruction whose accesses or whose branch have to be checked; else infinite. */
function firstCheckedAccess(block: Block, { state, processor }: Guest): number {
  const { notFlat, bits, codeLimit, alignment, virtualInterruptDue } = state;
  if (virtualInterruptDue) return 0;
  const isChecked = notFlat.has('ds') || notFlat.has('es') || notFlat.has('ss');
  if (!isChecked && !alignment && codeLimit === undefined) return NOWHERE;
  const registers = processor.readRegisters();
  const found = block.offsets.find(offset => {
    const code = block.bytes.subarray(offset);
    const instruction = decodeInstruction(code, block.start + offset, bits, registers);
    return needsChecks(block.start + offset, instruction, state);
  });
  return found ?? NOWHERE;
}

/** Whether the segments, or alignment, can refuse the instruction at `start` or what it does. */
export function needsChecks(start: number, instruction: DecodedInstruction, state: PrivilegeState): boolean {
  if (state.virtualInterruptDue) return true;
  const { memory, branch, length } = instruction;
  if (memory.some(use => state.alignment || state.notFlat.has(use.segment))) return true;
  const { codeLimit } = state;
  if (codeLimit === undefined) return false;
  // Where a direct branch goes is known: only the others have to be looked at each time.
  const furthest = branch ? (branchOffset(branch, state.codeBase) ?? Number.POSITIVE_INFINITY) : 0;
  return Math.max(start - state.codeBase + Math.max(length, 1) - 1, furthest) > codeLimit;
}
