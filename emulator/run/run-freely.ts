/** The engine runs freely, block after block, until something has to be looked at. */
import type { Block } from '../blocks.ts';
import type { Guest } from '../guest.ts';
import type { Outcome } from '../unicorn/processor.ts';
import type { FragileBlocks } from './fragile.ts';
import type { BlockGate } from './gate.ts';

export type FreeRunEnd =
  | { readonly type: 'came-back'; readonly outcome: Outcome }
  /** A block that writes to itself, while not every block is announced: {@link BlockGate.isRestarted}. */
  | { readonly type: 'restarted' }
  /** A block that is fragile: the state behind it is not the guest's. */
  | { readonly type: 'fragile'; readonly block: Block };

/** @param eip that of the processor */
export function runFreely(guest: Guest, gate: BlockGate, fragile: FragileBlocks, eip: number): FreeRunEnd {
  const { processor, blocks, state } = guest;
  const block = blocks.at(eip, state.bits);
  const stopAt = gate.stopIn(block);
  const relaxed = processor.watching === 'new';
  const isStale = gate.takeStale();
  if (relaxed) gate.prepareRelaxed(block, stopAt);
  else if (stopAt !== undefined || isStale) processor.drop(block.start, block.end);
  gate.startRun(eip, stopAt);
  guest.passTableWrites = false;
  // Where nothing can be fetched the run faults at once: see the quirk `until-fetches`.
  const until = relaxed || !guest.mayFetch(eip) ? undefined : stopAt;
  const outcome = processor.run(eip, until);
  guest.passTableWrites = true;
  gate.finish();
  if (gate.isRestarted) return { type: 'restarted' };
  // The engine comes back before an instruction that writes to a page table, and EFLAGS is not what it was.
  if (guest.mappingChanged && outcome.type === 'stopped') fragile.noteRunning();
  if (!fragile.found) fragile.noteModified();
  if (!fragile.found && fragile.runningHasLeft(processor.eip)) fragile.noteRunning();
  if (fragile.found) return { type: 'fragile', block: fragile.found };
  return { type: 'came-back', outcome };
}
