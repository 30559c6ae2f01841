/** What the command line's parser hands to `run`. */
import type { HostName } from '../../../boot-protocols/hosts/index.ts';
import type { StopOn } from '../../../emulator/run-options.ts';
import type { EngineName } from '../../../emulator/unicorn/api.ts';
import type { Syntax } from '../../report/disassemble.ts';
import type { LogLevel } from '../log.ts';
import type { Target } from '../parse.ts';
import type { StartFlags } from '../start-flags.ts';

/** The values of `run`'s options after parsing: `program.ts` says what each means. */
export interface RunFlags extends StartFlags {
  readonly until?: Target;
  readonly stopOn?: StopOn;
  readonly instructions?: number;
  readonly timeout?: number;
  readonly allTraps?: boolean;
  readonly answer?: HostName;
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
