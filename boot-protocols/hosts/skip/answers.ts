/** `skip`: whatever traps is stepped over, and nothing is done for it. It shows the way ahead, not what a host does. */
import { FLAG_TF } from '../../../emulator/flags.ts';
import type { Stop, StopKind } from '../../../emulator/stop.ts';
import { type Answer, ended, passed, type Respond, skipped, unanswered } from '../answer.ts';
import { decode } from '../instruction.ts';

const NO_ANSWER: Readonly<Partial<Record<StopKind, string>>> = {
  'page-fault': 'Stepping over an access to memory leaves its result undefined.',
  'memory-hole': 'Stepping over an access to memory leaves its result undefined.',
  'segment-access': 'Stepping over an access to memory leaves its result undefined.',
  'rom-write': 'Stepping over an access to memory leaves its result undefined.',
  'loader-memory': 'Stepping over an access to memory leaves its result undefined.',
  hypercall: 'No one is there to answer a hypercall, and the kernel counts on its result.',
  exception: 'Stepping over an instruction that computes leaves its result undefined.',
  'forced-emulation': 'There is no instruction to step over: the prefix is an invalid opcode.',
  'long-mode': 'The kernel goes on in 64-bit code, and startup32 runs 32-bit code only.',
};

const ENDS: Readonly<Partial<Record<StopKind, string>>> = {
  halt: 'The kernel halts, and no interrupt comes here.',
  shutdown: 'The CPU shuts down: there is no handler.',
};

/** Vector: SDM vol. 3, table 6-1. */
const DEBUG = 1;
const DEBUG_MOVES: ReadonlySet<string> = new Set(['mov-to-dr', 'mov-from-dr']);

/** Instructions that leave nothing to go on with when they are stepped over. */
const TRANSFERS = new Set(['iretd', 'iretw', 'iret', 'sysexit', 'sysenter', 'rsm']);

const SINGLE_STEP =
  'EFLAGS.TF is set: the trap comes after an instruction, so there is none to step over, and it comes again after the next one.';

/** #DB before a MOV to or from DRn is a fault (DR7.GD); with TF set any other is the trap after an instruction. */
function isSingleStep(stop: Stop): boolean {
  if (stop.exception?.vector !== DEBUG || (stop.cpu.eflags & FLAG_TF) === 0) return false;
  const sensitivity = decode(stop)?.sensitivity;
  return !(sensitivity?.type === 'rule' && DEBUG_MOVES.has(sensitivity.rule));
}

export const skip: Respond = (stop): Answer => {
  const end = ENDS[stop.kind];
  if (end !== undefined) return ended(end);
  if (isSingleStep(stop)) return unanswered(SINGLE_STEP);
  const refused = NO_ANSWER[stop.kind];
  if (refused !== undefined) return unanswered(refused);
  if (!stop.exception) return passed('Nothing traps: the CPU goes on.');
  const decoded = decode(stop);
  if (!decoded || (stop.kind === 'invalid-opcode' && decoded.mnemonic.startsWith('ud')))
    return unanswered('There is no instruction to step over.');
  // A return with nowhere to return to; what follows it is other code.
  if (TRANSFERS.has(decoded.mnemonic))
    return unanswered(`There is nothing to go on with behind ${decoded.mnemonic}.`);
  if (stop.kind === 'privileged-instruction' && stop.rule === 'hlt')
    return ended('The kernel halts, and no interrupt comes here.');
  return skipped('It is stepped over, and nothing is done for it.');
};
