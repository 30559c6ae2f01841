/** Faults that the engine raises by itself: whether the state they leave is exact, and what they are on a CPU. */
import { MAX_BLOCK_SIZE, MAX_INSTRUCTION_SIZE } from '../blocks.ts';
import { CR0_EM, CR4_OSFXSR } from '../control-bits.ts';
import { type CpuState, linearEip } from '../cpu-state.ts';
import { extensionOf } from '../decode/extension.ts';
import { decodeInstruction } from '../decode/instruction.ts';
import type { MemoryUse } from '../decode/memory.ts';
import type { Guest } from '../guest.ts';
import { accessProblem, PAGE_SIZE, walk } from '../paging.ts';
import type { Cause, Exception } from '../stop.ts';
import type { Outcome, RefusedAccess } from '../unicorn/processor.ts';
import { DEVICE_NOT_AVAILABLE, INVALID_OPCODE, PAGE_FAULT } from '../vectors.ts';
import {
  behindTables,
  causeOfMemory,
  causeOfPageFault,
  firstRefused,
  pageFaultError,
} from './stop-record.ts';

const ADDRESS_SPACE = 2 ** 32;
/** Bit of a #PF error code: SDM vol. 3, 4.7. */
const PF_WRITE = 2;
/** Bytes of code that are enough to decode an instruction. */
const CODE_BYTES = 32;
/** They compute EFLAGS, or ESP, before they touch memory: see the quirk `registers-before-fault`. */
const CLOBBERS_REGISTERS = /^(rc[lr]|set|leave)/;

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
  return !ahead && !CLOBBERS_REGISTERS.test(mnemonic);
}

/**
 * Whether the one instruction that was to be run, at `begin`, is not done. After a refused access the engine may run
 * it to its end, and be behind it: see the quirk `memory-error-state`.
 */
export function isUndone(outcome: Outcome, begin: number, guest: Guest): boolean {
  if (outcome.type === 'memory') return outcome.access !== 'fetch';
  return outcome.type !== 'stopped' && guest.processor.eip === begin;
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
      if (vector === DEVICE_NOT_AVAILABLE && isUndefinedFirst(guest, cpu)) {
        return { cause: { kind: 'invalid-opcode' }, exception: { vector: INVALID_OPCODE }, cpu };
      }
      if (vector === PAGE_FAULT)
        return fetchFault(guest, cpu) ?? pageFault(guest, cpu, cpu.control.cr2, exception);
      return { cause: { kind: 'exception' }, exception, cpu };
    }
  }
}

/** SDM vol. 3, tables 12-1 and 13-1: without CR4.OSFXSR, and with CR0.EM, there are no SSE instructions; nor, then, MMX. */
function isUndefinedFirst(guest: Guest, cpu: CpuState): boolean {
  const { control } = cpu;
  const extension = extensionOf(guest.code(linearEip(cpu), CODE_BYTES).slice(), guest.state.bits);
  if (extension === undefined) return false;
  if ((control.cr0 & CR0_EM) !== 0) return true;
  return extension === 'sse' && (control.cr4 & CR4_OSFXSR) === 0;
}

/**
 * The instruction itself cannot be fetched. libunicorn looks at the byte before `until` first, and gives that address
 * without an error code; a CPU begins at EIP.
 */
function fetchFault(guest: Guest, cpu: CpuState): Fault | undefined {
  const address = linearEip(cpu);
  const page = walk(address, cpu.control, physical => guest.memory.read32(physical));
  const problem = accessProblem(page, 'fetch', cpu.cpl, cpu.control);
  if (problem === undefined) return undefined;
  const errorCode = pageFaultError(problem, 'fetch', cpu);
  if (address !== cpu.control.cr2) guest.processor.writeCr2(address);
  const state = { ...cpu, control: { ...cpu.control, cr2: address } };
  return {
    cause: causeOfPageFault(guest, state, errorCode),
    exception: { vector: PAGE_FAULT, errorCode },
    cpu: state,
  };
}

function refused(access: RefusedAccess, guest: Guest, cpu: CpuState): Fault {
  const part = firstRefused(guest, cpu, access.address);
  // Of a write that crosses into it, engines give the value of one byte or another.
  const first: RefusedAccess = part ? { ...access, ...part, value: undefined } : access;
  const found = behindTables(guest, cpu, first);
  if ('exception' in found) return pageFault(guest, cpu, found.address, found.exception);
  return { cause: causeOfMemory(guest, found), cpu };
}

function pageFault(guest: Guest, cpu: CpuState, address: number, raised: Exception): Fault {
  const use = firstUse(guest, cpu, address);
  const cr2 = firstRefused(guest, cpu, address)?.address ?? (use?.implicit ? use.linear : address);
  if (cr2 !== cpu.control.cr2) guest.processor.writeCr2(cr2);
  // An operand that is read and written is asked for to be written: engines read it first.
  const errorCode = (raised.errorCode ?? 0) | (use?.read && use.write ? PF_WRITE : 0);
  const exception = { ...raised, errorCode };
  const state = { ...cpu, control: { ...cpu.control, cr2 } };
  return { cause: causeOfPageFault(guest, state, errorCode), exception, cpu: state };
}

/** The operand that holds the address; PUSHA goes downwards, and the CPU comes to the highest one in the page first. */
function firstUse(
  guest: Guest,
  cpu: CpuState,
  address: number,
): (MemoryUse & { readonly linear: number }) | undefined {
  const page = address - (address % PAGE_SIZE);
  const eip = linearEip(cpu);
  const bytes = guest.code(eip, CODE_BYTES).slice();
  const { memory, valid, mnemonic } = decodeInstruction(bytes, eip, guest.state.bits, cpu.registers);
  if (!valid) return undefined;
  const goesDown = mnemonic.startsWith('pusha');
  const { ss } = cpu.segments;
  const mask = goesDown && ss.descriptor?.big === false ? 0xffff : 0xffffffff;
  return memory
    .map(use => ({
      ...use,
      linear:
        ((cpu.segments[use.segment].descriptor?.base ?? 0) + ((use.offset & mask) >>> 0)) % ADDRESS_SPACE,
    }))
    .find(({ linear, size }) =>
      goesDown ? linear >= page && linear < page + PAGE_SIZE : address >= linear && address < linear + size,
    );
}
