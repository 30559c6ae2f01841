/** Exceptions with their error codes: Intel SDM vol. 3, 6.13 (selector) and 4.7 (page fault). */
import { exceptionName } from '../../boot-protocols/exceptions.ts';
import type { Exception, GateProblem } from '../../emulator/stop.ts';
import {
  GENERAL_PROTECTION,
  INVALID_TSS,
  PAGE_FAULT,
  SEGMENT_NOT_PRESENT,
  STACK_FAULT,
} from '../../emulator/vectors.ts';
import { hex16, hexShort } from './hex.ts';

const GENERAL_PROTECTION_FAMILY: ReadonlySet<number> = new Set([
  INVALID_TSS,
  SEGMENT_NOT_PRESENT,
  STACK_FAULT,
  GENERAL_PROTECTION,
]);

/** Why the CPU finds no handler. */
export const NO_GATE = {
  'idt-limit': 'its gate lies beyond the IDT limit',
  'gate-type': 'its IDT entry is no gate',
  'gate-not-present': 'its gate is not present',
  'gate-unreadable': 'its gate cannot be read',
} as const satisfies Record<GateProblem, string>;

/** `#GP(0)`, `#NP(0x18)`, `#UD`. */
export function exceptionTitle({ vector, errorCode }: Exception): string {
  const { mnemonic } = exceptionName(vector);
  if (errorCode === undefined) return mnemonic;
  return `${mnemonic}(${errorCode === 0 ? '0' : hexShort(errorCode)})`;
}

/** What an error code says, or nothing when it is absent or says nothing. */
export function errorCodeMeaning({ vector, errorCode }: Exception): string | undefined {
  if (errorCode === undefined) return undefined;
  if (vector === PAGE_FAULT) return `error code ${hex16(errorCode)}: ${pageFaultBits(errorCode)}`;
  if (GENERAL_PROTECTION_FAMILY.has(vector) && errorCode !== 0)
    return `error code ${hex16(errorCode)}: ${selectorBits(errorCode)}`;
  return undefined;
}

/** SDM vol. 3, figure 4-12. */
function pageFaultBits(code: number): string {
  return [
    code & 1 ? 'page present (P=1)' : 'page not present (P=0)',
    code & 16 ? 'instruction fetch (I/D=1)' : code & 2 ? 'write (W/R=1)' : 'read (W/R=0)',
    code & 4 ? 'user mode (U/S=1)' : 'supervisor mode (U/S=0)',
    ...(code & 8 ? ['reserved bit set (RSVD=1)'] : []),
  ].join(', ');
}

/** SDM vol. 3, 6.13: EXT, IDT, TI, index. */
function selectorBits(code: number): string {
  const table = code & 2 ? 'IDT' : code & 4 ? 'LDT' : 'GDT';
  return `${table} entry ${hexShort(code >>> 3)}${code & 1 ? ', external event' : ''}`;
}
