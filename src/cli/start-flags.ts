/** What the command line says about what is started, and as what: `options/start.ts` says what each means. */
import type { XenHost } from '../../boot-protocols/protocol.ts';
import type { Ring } from '../../emulator/cpu-state.ts';
import type { PagingMode } from '../../emulator/entry-state.ts';
import type { ModuleFlag } from './parse.ts';

export interface ImageFlags {
  readonly symbols?: string;
  readonly payload?: boolean;
  /** False for `--no-cache`. */
  readonly cache?: boolean;
}

export interface KnobFlags {
  readonly ring?: Ring;
  readonly paging?: PagingMode;
  readonly gdt?: 'flat' | 'none';
  readonly keepSegments?: boolean;
  readonly subarch?: number;
  readonly memory?: number;
  readonly cmdline?: string;
  readonly initrd?: string;
  readonly module?: readonly ModuleFlag[];
  readonly loadAddress?: number;
  readonly era?: string;
  readonly xenHost?: XenHost;
  readonly privileged?: boolean;
  readonly poison?: boolean;
  readonly cpu?: string;
}

export interface StartFlags extends ImageFlags, KnobFlags {
  readonly as?: string;
}
