/** Faults that the engine raises by itself: whether the state they leave is exact, and what they are on a CPU. */
import { MAX_BLOCK_SIZE, MAX_INSTRUCTION_SIZE } from './blocks.ts';
import type { CpuState } from './cpu-state.ts';
import type { Guest } from './guest.ts';
import { decodeInstruction } from './instructions.ts';
import type { Cause, Exception } from './stop.ts';
import { behindTables, causeOfMemory, causeOfPageFault, firstRefused } from './stop-record.ts';
import type { Outcome, RefusedAccess } from './unicorn/processor.ts';

const INVALID_OPCODE = 6;
const PAGE_FAULT = 14;
const PAGE_SIZE = 4096;
/** Bytes of code that are enough to decode an instruction. */
const CODE_BYTES = 32;
/** They compute EFLAGS before they touch memory: see the quirk `flags-before-fault`. */
const CLOBBERS_FLAGS = /^(rc[lr]|set)/;

export interface Fault {
  readonly cause: Cause;
  readonly exception?: Exception;
  readonly cpu: CpuState;
}

/** Only page faults leave EIP and EFLAGS as they are on every engine: see the quirk `memory-error-state`. */
export function isExact(outcome: Outcome, guest: Guest): boolean {
  if (outcome.type !== 'exception' || outcome.vector !== PAGE_FAULT) return false;
  const { processor, state } = guest;
  const { eip, cr2 } = processor;
  const bytes = guest.code(eip, CODE_BYTES).slice();
  const { mnemonic, length, valid } = decodeInstruction(bytes, eip, state.bits, processor.readRegisters());
  // A fetch ahead of EIP: the engine translates more of a block than the CPU would have come to.
  const ahead = valid && cr2 >= eip + length && cr2 - eip < 2 * MAX_BLOCK_SIZE;
  return !ahead && !CLOBBERS_FLAGS.test(mnemonic);
}

/**
 * The engine faults on the page behind the instruction at EIP, which it wants to translate in one go: see the quirk
 * `fetch-ahead`.
 *
 * @returns whether all of that instruction can be fetched, and it does not touch that page itself
 */
export function isFetchedAhead(outcome: Outcome, guest: Guest): boolean {
  const { processor, state } = guest;
  const address = refusedFetch(outcome, guest);
  if (address === undefined || address % PAGE_SIZE !== 0) return false;
  const { eip } = processor;
  if (address <= eip || address > eip + 2 * (MAX_INSTRUCTION_SIZE + 1)) return false;
  const bytes = guest.code(eip, CODE_BYTES).slice();
  const { length, memory, valid } = decodeInstruction(bytes, eip, state.bits, processor.readRegisters());
  const touches = memory.some(use => use.offset + use.size > address && use.offset < address + PAGE_SIZE);
  return valid && eip + length <= address && !touches;
}

/** The address of a fetch (or what may be one) that was refused because nothing is there. */
function refusedFetch(outcome: Outcome, guest: Guest): number | undefined {
  if (outcome.type === 'memory') return outcome.access === 'fetch' ? outcome.address : undefined;
  if (outcome.type !== 'exception' || outcome.vector !== PAGE_FAULT) return undefined;
  const { cr2 } = guest.processor;
  return guest.code(cr2, 1).length === 0 ? cr2 : undefined;
}

/** What an outcome other than `stopped` is on a CPU. EIP is at the instruction. */
export function faultOf(outcome: Exclude<Outcome, { type: 'stopped' }>, guest: Guest): Fault {
  const cpu = guest.cpu();
  switch (outcome.type) {
    case 'memory':
      return refused(outcome, guest, cpu);
    case 'invalid-opcode':
      return { cause: { kind: 'invalid-opcode' }, exception: { vector: INVALID_OPCODE }, cpu };
    case 'error': {
      const detail = `the engine ends the run with error ${outcome.code}`;
      return { cause: { kind: 'engine-limit', limit: 'unexpected-error', detail }, cpu };
    }
    case 'exception': {
      const { vector, errorCode } = outcome;
      const exception = errorCode === undefined ? { vector } : { vector, errorCode };
      if (vector === PAGE_FAULT) return pageFault(guest, cpu, cpu.control.cr2, exception);
      return { cause: { kind: 'exception' }, exception, cpu };
    }
  }
}

function refused(access: RefusedAccess, guest: Guest, cpu: CpuState): Fault {
  const part = firstRefused(guest, cpu, access.address);
  // Of a write that crosses into it, engines give the value of one byte or another.
  const first: RefusedAccess = part ? { ...access, ...part, value: undefined } : access;
  const found = behindTables(guest, cpu, first);
  if ('exception' in found) return pageFault(guest, cpu, found.address, found.exception);
  return { cause: causeOfMemory(guest, found), cpu };
}

function pageFault(guest: Guest, cpu: CpuState, address: number, exception: Exception): Fault {
  const cr2 = firstRefused(guest, cpu, address)?.address ?? address;
  if (cr2 !== cpu.control.cr2) guest.processor.writeCr2(cr2);
  const state = { ...cpu, control: { ...cpu.control, cr2 } };
  return { cause: causeOfPageFault(guest, state, exception.errorCode ?? 0), exception, cpu: state };
}
