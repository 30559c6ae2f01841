/** The x86 exceptions by vector: Intel SDM vol. 3, table 6-1; error codes: 6.13 (selector) and 4.7 (page fault). */
import type { Exception } from '../../emulator/stop.ts';
import { hex16, hexShort } from './hex.ts';

export interface ExceptionName {
  readonly mnemonic: string;
  readonly name: string;
}

const EXCEPTIONS: Readonly<Record<number, ExceptionName>> = {
  0: { mnemonic: '#DE', name: 'divide error' },
  1: { mnemonic: '#DB', name: 'debug exception' },
  2: { mnemonic: 'NMI', name: 'non-maskable interrupt' },
  3: { mnemonic: '#BP', name: 'breakpoint' },
  4: { mnemonic: '#OF', name: 'overflow' },
  5: { mnemonic: '#BR', name: 'BOUND range exceeded' },
  6: { mnemonic: '#UD', name: 'invalid opcode' },
  7: { mnemonic: '#NM', name: 'device not available' },
  8: { mnemonic: '#DF', name: 'double fault' },
  10: { mnemonic: '#TS', name: 'invalid TSS' },
  11: { mnemonic: '#NP', name: 'segment not present' },
  12: { mnemonic: '#SS', name: 'stack-segment fault' },
  13: { mnemonic: '#GP', name: 'general protection' },
  14: { mnemonic: '#PF', name: 'page fault' },
  16: { mnemonic: '#MF', name: 'x87 floating-point error' },
  17: { mnemonic: '#AC', name: 'alignment check' },
  18: { mnemonic: '#MC', name: 'machine check' },
  19: { mnemonic: '#XM', name: 'SIMD floating-point exception' },
  20: { mnemonic: '#VE', name: 'virtualization exception' },
  21: { mnemonic: '#CP', name: 'control protection exception' },
};

const GENERAL_PROTECTION_FAMILY: ReadonlySet<number> = new Set([10, 11, 12, 13]);
const PAGE_FAULT = 14;

export const exceptionName = (vector: number): ExceptionName =>
  EXCEPTIONS[vector] ?? { mnemonic: `vector ${hexShort(vector)}`, name: `vector ${hexShort(vector)}` };

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

/** SDM vol. 3, figure 6-7: EXT, IDT, TI, index. */
function selectorBits(code: number): string {
  const table = code & 2 ? 'IDT' : code & 4 ? 'LDT' : 'GDT';
  return `${table} entry ${hexShort(code >>> 3)}${code & 1 ? ', external event' : ''}`;
}
