/** A case as the runner reads it, and an outcome as the runner sends it. Both are little-endian dwords; see image/runner.S. */
import { cr3Of, impliedWrites, RUNNER } from './arena.ts';
import { ARENA, type OracleCase, type Outcome, RUNNER_CODE } from './case.ts';

/** In the place of "has an error code": the CPU refused what the case needs before it began. */
export const SETUP_FAILED = 2;

// CR0 and CR4 (SDM vol. 3, 2.5).
const CR0_PE_ET = 0x11;
const CR0_PG = 0x80000000;
const CR4_PAE = 0x20;
/** EFLAGS. */
const RF = 0x10000;

const RING_0 = 0;
const OUTER_RING = 1;
const VM86 = 2;

/** CR0 as the case finds it. */
const cr0Of = (oracleCase: OracleCase): number =>
  (oracleCase.cr0 | CR0_PE_ET | (oracleCase.paging === 'off' ? 0 : CR0_PG)) >>> 0;

/** CR4 as the case finds it. */
const cr4Of = (oracleCase: OracleCase): number =>
  (oracleCase.cr4 | (oracleCase.paging === 'pae' ? CR4_PAE : 0)) >>> 0;

const kindOf = ({ mode, ring }: OracleCase): number =>
  mode === 'vm86' ? VM86 : ring === 0 ? RING_0 : OUTER_RING;

/** @param number comes back in the outcome */
export function encodeCase(oracleCase: OracleCase, number: number): Uint8Array {
  const { registers, selectors } = oracleCase;
  const writes = [...impliedWrites(oracleCase.paging), ...oracleCase.writes];
  const fields = [
    number,
    kindOf(oracleCase),
    oracleCase.eflags,
    registers.eax,
    registers.ecx,
    registers.edx,
    registers.ebx,
    registers.ebp,
    registers.esi,
    registers.edi,
    registers.esp,
    selectors.ss,
    oracleCase.eip,
    selectors.cs,
    selectors.ds,
    selectors.es,
    selectors.fs,
    selectors.gs,
    cr0Of(oracleCase),
    cr3Of(oracleCase.paging),
    cr4Of(oracleCase),
    oracleCase.ldtr,
    oracleCase.efer,
    writes.length,
  ];
  const size = 4 * (1 + fields.length + writes.reduce((sum, { bytes }) => sum + 3 + dwords(bytes), 0));
  const encoded = new Uint8Array(size);
  const view = new DataView(encoded.buffer);
  let offset = 0;
  const put = (value: number): void => {
    view.setUint32(offset, value, true);
    offset += 4;
  };
  put(size);
  for (const field of fields) put(field);
  for (const { address, bytes } of writes) {
    put(address);
    put(dwords(bytes));
    put(bytes.length);
    encoded.set(bytes, offset);
    offset += 4 * dwords(bytes);
  }
  return encoded;
}

const dwords = (bytes: Uint8Array): number => Math.ceil(bytes.length / 4);

export type Message =
  | { readonly kind: 'begin'; readonly number: number }
  | { readonly kind: 'outcome'; readonly number: number; readonly outcome: Outcome }
  /** The case did not begin; `reason` says why. */
  | { readonly kind: 'refused'; readonly number: number; readonly reason: string }
  | { readonly kind: 'end' };

const ascii = (text: string): number =>
  [...text].reduce((sum, char, index) => sum + char.charCodeAt(0) * 2 ** (8 * index), 0);
const BEGIN = ascii('[BEG');
const END = ascii('[END');
const OUTCOME = ascii('[OUT');
const OUTCOME_END = ascii(']OUT');
const SHORT_MESSAGE = 8;
const OUTCOME_MESSAGE = 35 * 4;

/**
 * The messages in what came out of port 0xE9. Whatever is not a message (an emulator's own text on the same stream) is
 * passed over; a message that is not whole yet is not returned.
 */
export function* decodeMessages(output: Uint8Array): Generator<Message> {
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  let offset = 0;
  while (offset + SHORT_MESSAGE <= output.length) {
    const marker = output[offset] === 0x5b ? view.getUint32(offset, true) : 0;
    if (marker === BEGIN) {
      yield { kind: 'begin', number: view.getUint32(offset + 4, true) };
      offset += SHORT_MESSAGE;
    } else if (marker === END) {
      yield { kind: 'end' };
      offset += SHORT_MESSAGE;
    } else if (
      marker === OUTCOME &&
      offset + OUTCOME_MESSAGE <= output.length &&
      view.getUint32(offset + OUTCOME_MESSAGE - 4, true) === OUTCOME_END
    ) {
      yield decodeOutcome(view, offset);
      offset += OUTCOME_MESSAGE;
    } else {
      offset++;
    }
  }
}

function decodeOutcome(view: DataView, start: number): Message {
  let offset = start + 4;
  const dword = (): number => {
    offset += 4;
    return view.getUint32(offset - 4, true);
  };
  const tableRegister = (): { limit: number; base: number } => {
    const limit = view.getUint16(offset, true);
    const base = view.getUint32(offset + 2, true);
    offset += 8;
    return { base, limit };
  };
  // In the order of the record.
  const number = dword();
  const vector = dword();
  const hasErrorCode = dword();
  const errorCode = dword();
  const eip = dword();
  const eflags = dword();
  const [eax, ecx, edx, ebx, esp, ebp, esi, edi] = [
    dword(),
    dword(),
    dword(),
    dword(),
    dword(),
    dword(),
    dword(),
    dword(),
  ];
  const [cs, ss, ds, es, fs, gs] = [dword(), dword(), dword(), dword(), dword(), dword()];
  const [cr0, cr2, cr3, cr4] = [dword(), dword(), dword(), dword()];
  const gdtr = tableRegister();
  const idtr = tableRegister();
  const [ldtr, tr, data, stack, tables] = [dword(), dword(), dword(), dword(), dword()];
  if (hasErrorCode === SETUP_FAILED) {
    return { kind: 'refused', number, reason: `this CPU refuses CR0, CR4, LDTR or TR: vector ${vector}` };
  }
  const outcome: Outcome = {
    vector,
    errorCode: hasErrorCode === 0 ? undefined : errorCode,
    eip,
    eflags: (eflags & ~RF) >>> 0,
    registers: { eax, ecx, edx, ebx, esp, ebp, esi, edi },
    selectors: { cs, ss, ds, es, fs, gs },
    cr0,
    cr2,
    cr3,
    cr4,
    gdtr,
    idtr,
    ldtr,
    tr,
    data,
    stack,
    tables,
  };
  if (cs === RUNNER_CODE && eip >= RUNNER && eip < ARENA) {
    const error = outcome.errorCode === undefined ? '' : `, error code 0x${errorCode.toString(16)}`;
    return { kind: 'refused', number, reason: `the case cannot be entered: vector ${vector}${error}` };
  }
  return { kind: 'outcome', number, outcome };
}
