/**
 * BootProtocol: a system that can start a kernel, as a pure function from an image and knobs to an EntryState,
 * and what that system would make of a Stop.
 */
import type { Ring } from '../emulator/cpu-state.ts';
import type { EntryState, PagingMode } from '../emulator/entry-state.ts';
import type { Stop, StopOf } from '../emulator/stop.ts';
import type { KernelImage } from '../src/kernel-image/kernel-image.ts';

/** The knobs, as the library takes them and the command line spells them. Absent: the protocol's own value. */
export interface BootOptions {
  /** Bytes of RAM; a multiple of 4096. Default 64 MiB. */
  readonly memory?: number;
  readonly cmdline?: string;
  readonly initrd?: Uint8Array;
  /** Physical address to load a relocatable bzImage at. */
  readonly loadAddress?: number;
  readonly ring?: Ring;
  readonly paging?: PagingMode;
  readonly gdt?: 'flat' | 'none';
  readonly keepSegments?: boolean;
  readonly subarch?: number;
  /** Fill memory that the protocol does not define with the poison pattern. */
  readonly poison?: boolean;
  /** Name of a CPU model of `emulator/cpu-models/`. */
  readonly cpu?: string;
  /** Version of Linux whose lguest starts the kernel, e.g. `2.6.24`. */
  readonly era?: string;
  /** Whether Xen itself is a 32-bit or a 64-bit program: that decides the limits of the guest's segments. */
  readonly xenHost?: XenHost;
  /** The domain is dom0. */
  readonly privileged?: boolean;
  /** Files that the loader hands over besides the kernel; an `initrd` comes before them. */
  readonly modules?: readonly BootModule[];
}

export type XenHost = 32 | 64;

/** A file that a loader hands to a kernel, with a command line of its own. */
export interface BootModule {
  /** As the user named the file; used in the state's printout only. */
  readonly name: string;
  readonly contents: Uint8Array;
  readonly cmdline?: string;
}

export type KnobName = keyof BootOptions;

/** What `--as` takes. */
export type ProtocolName =
  | 'pc'
  | 'kexec'
  | 'lguest'
  | 'xen'
  | 'xen-startup32'
  | 'xen-supervisor'
  | 'startup-paravirt'
  | 'vmi'
  | 'pvh'
  | 'multiboot'
  | 'contract';

export const DEFAULT_MEMORY = 64 * 1024 * 1024;

/** Whether an image can be started by a protocol. */
export type Startable =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: string; readonly reason: string };

/** What the system under the kernel would do at a Stop. */
export interface Reaction {
  readonly outcome:
    | 'emulates'
    | 'skips'
    | 'handles'
    | 'reflects'
    | 'kills'
    | 'cpu-delivers'
    | 'nothing'
    | 'unknown';
  /** One or two sentences for the report's `means`. */
  readonly sentence: string;
  /** Where that is known from. */
  readonly citation?: string;
}

/** What a hypercall's name may depend on. */
export interface HypercallScene {
  readonly entry?: EntryState;
  readonly arguments?: StopOf<'hypercall'>['arguments'];
}

export interface BootProtocol {
  /** As in `--as`. */
  readonly name: ProtocolName;
  /** One line for `startup32 protocols`. */
  readonly summary: string;
  /** Page under docs/. */
  readonly page: string;
  /** The knobs that mean something here; any other is a usage error. */
  readonly knobs: readonly KnobName[];
  /** The loader takes the kernel proper out of a bzImage by itself, and never runs the code around it. */
  readonly unpacks: boolean;
  canStart(image: KernelImage): Startable;
  /** @throws {ProtocolError} when the image or a knob does not fit. */
  entryState(image: KernelImage, options: BootOptions): EntryState;
  /** @param entry what the kernel was started from; without it the answer is in general words. */
  reaction(stop: Stop, entry?: EntryState): Reaction;
  /** What to try next, most useful first; whole command fragments or sentences. */
  advice(stop: Stop, image: KernelImage, entry?: EntryState): readonly string[];
  /**
   * The hypercall's name by this protocol's ABI, if it has one (`vm_assist`, `LHCALL_LGUEST_INIT`).
   *
   * @param call absent: the name in general
   */
  hypercallName?(number: number, call?: HypercallScene): string | undefined;
}

/** A knob or an image that a protocol cannot serve. `usage`: the command line is wrong rather than the image. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: string;
  readonly usage: boolean;
  constructor(code: string, message: string, usage = false) {
    super(message);
    this.code = code;
    this.usage = usage;
  }
}
