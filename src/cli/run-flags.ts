/** What the command line's parser hands to `run`. */
import type { HostName } from '../../boot-protocols/hosts/index.ts';
import type { Ring } from '../../emulator/cpu-state.ts';
import type { PagingMode } from '../../emulator/entry-state.ts';
import type { StopOn } from '../../emulator/run-options.ts';
import type { EngineName } from '../../emulator/unicorn/api.ts';
import type { Syntax } from '../report/disassemble.ts';
import type { LogLevel } from './log.ts';
import type { Target } from './parse.ts';

/** The values of `run`'s options after parsing: `program.ts` says what each means. */
export interface RunFlags {
  readonly as?: string;
  readonly ring?: Ring;
  readonly paging?: PagingMode;
  readonly gdt?: 'flat' | 'none';
  readonly keepSegments?: boolean;
  readonly subarch?: number;
  readonly memory?: number;
  readonly cmdline?: string;
  readonly initrd?: string;
  readonly loadAddress?: number;
  readonly poison?: boolean;
  readonly cpu?: string;
  readonly symbols?: string;
  readonly until?: Target;
  readonly stopOn?: StopOn;
  readonly instructions?: number;
  readonly timeout?: number;
  readonly allTraps?: boolean;
  readonly answer?: HostName;
  readonly era?: string;
  readonly maxTraps?: number;
  readonly engine?: 'auto' | EngineName;
  readonly libunicorn?: string;
  readonly format: 'text' | 'json';
  readonly syntax: Syntax;
  readonly serial?: boolean;
  readonly trace?: string;
  readonly traceHash?: boolean;
  readonly logLevel?: LogLevel;
}
