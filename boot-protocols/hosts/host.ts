/** What a host – whoever owns ring 0 under the kernel – makes of an instruction, as plain data. */
import type { HostExceptionName } from './exception.ts';

/**
 * - `emulate`: the host does it on the guest's virtual CPU, and the guest goes on behind it
 * - `skip`: the guest goes on behind it, and nothing else happens
 * - `reflect`: the guest's own handler gets the exception
 * - `kill`: the guest ends
 * - `unseen`: there is no trap, and the host never knows
 */
export type HostAction = 'emulate' | 'skip' | 'reflect' | 'kill' | 'unseen';

export interface HostAnswer {
  readonly does: HostAction;
  /** One or two whole sentences. */
  readonly sentence: string;
  readonly citation: string;
  /** Linux versions, both inclusive; absent: as far back, or as long, as there is the host. */
  readonly since?: string;
  readonly until?: string;
  /** MOV to and from CRn, by the register's number; a register that is not there is reflected. */
  readonly byRegister?: Readonly<Record<number, HostAnswer>>;
}

/** The answers of one host, by rule id. */
export interface Host {
  readonly name: HostName;
  /** One sentence: what it is. */
  readonly summary: string;
  /** For every rule of `emulator/privilege`; of several eras the oldest first. */
  readonly answers: Readonly<Record<string, readonly HostAnswer[]>>;
  /** Silent rules that the host answers itself where they are #GP(0), by CR4.UMIP. */
  readonly faults?: Readonly<Record<string, HostAnswer>>;
  /** An exception that the host has no answer of its own to. */
  readonly fault: (exception: HostExceptionName) => HostAnswer;
}

/** Who can answer traps: what `--answer` takes. */
export const HOST_NAMES = ['skip', 'xen', 'lguest', 'monitor'] as const;
export type HostName = (typeof HOST_NAMES)[number];
