/** The x86 exceptions by vector: Intel SDM vol. 3, table 6-1. */

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

/** `#GP` and `general protection`; a vector that is no exception is named by its number. */
export function exceptionName(vector: number): ExceptionName {
  const spelled = `vector 0x${vector.toString(16)}`;
  return EXCEPTIONS[vector] ?? { mnemonic: spelled, name: spelled };
}
