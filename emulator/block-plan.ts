/** Where a block has to be stopped in: what is sensitive in it, held against the present state of the CPU. */
import type { Block } from './blocks.ts';
import type { Guest } from './guest.ts';
import { decodeInstruction } from './instructions.ts';
import { mustStop } from './sensitive/index.ts';

const NOWHERE = Number.POSITIVE_INFINITY;

/**
 * The first instruction of the block that cannot simply run in the present state.
 *
 * @returns its linear address; kept in the block until the state is another
 */
export function plannedStop(block: Block, guest: Guest): number | undefined {
  const { state, watch } = guest;
  if (block.plan.context !== state.key) {
    const sensitive = block.sensitive.find(({ sensitivity }) => mustStop(sensitivity, state, watch));
    const offset = Math.min(sensitive?.offset ?? NOWHERE, firstCheckedAccess(block, guest));
    block.plan = { context: state.key, stopAt: offset === NOWHERE ? undefined : block.start + offset };
  }
  return block.plan.stopAt;
}

/** Offset of the first instruction that uses memory through DS, ES or SS while that is not flat; else infinite. */
function firstCheckedAccess(block: Block, { state, processor }: Guest): number {
  const { notFlat, bits } = state;
  if (!notFlat.has('ds') && !notFlat.has('es') && !notFlat.has('ss')) return NOWHERE;
  const registers = processor.readRegisters();
  const found = block.offsets.find(offset => {
    const code = block.bytes.subarray(offset);
    const { memory } = decodeInstruction(code, block.start + offset, bits, registers);
    return memory.some(use => notFlat.has(use.segment));
  });
  return found ?? NOWHERE;
}
