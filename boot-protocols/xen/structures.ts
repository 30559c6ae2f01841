/** Structures of the 32-bit Xen ABI in bytes: Xen 4.14 xen/include/public/xen.h and arch-x86/xen-x86_32.h. */

/** The guest type of a 32-bit PAE domain (libelf and libxc). */
export const GUEST_TYPE = 'xen-3.0-x86_32p';

/** struct start_info, 32-bit layout. */
export const START_INFO = {
  magic: 0x00,
  nrPages: 0x20,
  /** Machine address. */
  sharedInfo: 0x24,
  flags: 0x28,
  storeMfn: 0x2c,
  storeEvtchn: 0x30,
  consoleMfn: 0x34,
  consoleEvtchn: 0x38,
  /** Virtual addresses. */
  ptBase: 0x3c,
  nrPtFrames: 0x40,
  mfnList: 0x44,
  /** Virtual address, or a page frame number with SIF_MOD_START_PFN. */
  modStart: 0x48,
  modLen: 0x4c,
  cmdLine: 0x50,
  firstP2mPfn: 0x450,
  nrP2mFrames: 0x454,
  size: 0x458,
} as const;

/** cmd_line, with its NUL. */
export const MAX_GUEST_CMDLINE = 1024;
export const SIF_MOD_START_PFN = 8;

/** struct shared_info, 32-bit layout. */
export const SHARED_INFO = {
  vcpuInfo: 0x000,
  vcpuInfoSize: 0x40,
  evtchnUpcallMask: 1,
  evtchnPending: 0x800,
  evtchnMask: 0x880,
} as const;

/** XEN_LEGACY_MAX_VCPUS. */
const LEGACY_MAX_VCPUS = 32;

export interface StartInfo {
  readonly nrPages: number;
  readonly sharedInfo: number;
  readonly flags: number;
  readonly storeMfn: number;
  readonly storeEvtchn: number;
  readonly consoleMfn: number;
  readonly consoleEvtchn: number;
  readonly ptBase: number;
  readonly nrPtFrames: number;
  readonly mfnList: number;
  readonly modStart: number;
  readonly modLen: number;
  readonly cmdLine: Uint8Array;
}

export function encodeStartInfo(info: StartInfo): Uint8Array {
  const bytes = new Uint8Array(START_INFO.size);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(GUEST_TYPE), START_INFO.magic);
  const fields = [
    'nrPages',
    'sharedInfo',
    'flags',
    'storeMfn',
    'storeEvtchn',
    'consoleMfn',
    'consoleEvtchn',
    'ptBase',
    'nrPtFrames',
    'mfnList',
    'modStart',
    'modLen',
  ] as const;
  for (const field of fields) view.setUint32(START_INFO[field], info[field], true);
  bytes.set(info.cmdLine.subarray(0, MAX_GUEST_CMDLINE), START_INFO.cmdLine);
  return bytes;
}

/** Event delivery starts masked on every VCPU (libxc xc_dom_x86.c, shared_info). */
export function encodeSharedInfo(): Uint8Array {
  const bytes = new Uint8Array(SHARED_INFO.vcpuInfo + LEGACY_MAX_VCPUS * SHARED_INFO.vcpuInfoSize);
  for (let vcpu = 0; vcpu < LEGACY_MAX_VCPUS; vcpu++) {
    bytes[SHARED_INFO.vcpuInfo + vcpu * SHARED_INFO.vcpuInfoSize + SHARED_INFO.evtchnUpcallMask] = 1;
  }
  return bytes;
}

/** A table of 32-bit words. */
export function encodeWords(count: number, word: (index: number) => number): Uint8Array {
  const bytes = new Uint8Array(count * 4);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) view.setUint32(index * 4, word(index), true);
  return bytes;
}
