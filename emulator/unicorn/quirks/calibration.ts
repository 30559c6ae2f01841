/**
 * Where the things that no API call gives stand inside a context (uc_context_save copies CPUX86State up to its TLB).
 * The layout differs from build to build, so it is found once per library by making the CPU do things and looking at
 * what changed. Names and order of the fields: QEMU, target/i386/cpu.h, struct CPUX86State and SegmentCache.
 */

import type { SegmentName } from '../../segmentation.ts';
import type { ContextBlob, Unicorn, UnicornLibrary } from '../api.ts';
import { PAGE_SIZE, PROT_ALL, REG_EFLAGS, REG_GDTR, REG_IDTR, REG_SEGMENT } from '../constants.ts';
import { EngineError } from '../errors.ts';

/** Byte offsets into the context. */
export interface Calibration {
  /** SegmentCache segs[6] in the order es cs ss ds fs gs, then ldt, tr, gdt, idt. */
  readonly segments: number;
  /** u32 hflags: CPL and what is derived from the segments' hidden parts. */
  readonly hflags: number;
  /** i32: the vector that double faults are judged by; -1 for none. */
  readonly oldException: number;
  /** i32: what the last exception pushed. */
  readonly errorCode: number;
}

/** struct SegmentCache with a 64-bit base: u32 selector, u64 base, u32 limit, u32 flags. */
export const SEGMENT_CACHE = { size: 24, selector: 0, base: 8, limit: 16, flags: 20 } as const;
/** Index of each cache behind segs[0]. */
export const SEGMENT_INDEX = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5, ldtr: 6, tr: 7 } as const;
const GDT_INDEX = 8;

/** cpu.h, HF_*_MASK. */
export const HFLAGS = {
  cpl: 3,
  cs32: 1 << 4,
  ss32: 1 << 5,
  addSegment: 1 << 6,
  /** MP, EM and TS, in the order of CR0. */
  coprocessor: 7 << 9,
  osfxsr: 1 << 22,
} as const;
/** From CR0.MP, EM and TS to their place in hflags. */
export const COPROCESSOR_SHIFT = 8;

const CODE = 0x100;
const SELECTOR_IN_MEMORY = 0x200;
const GDT = PAGE_SIZE;
const MEMORY = 2 * PAGE_SIZE;

/** Unlike anything else in a fresh CPU. */
const PATTERN = { gdtBase: 0x13572468, gdtLimit: 0x9abc, idtBase: 0x2468ace0, idtLimit: 0x7bcd } as const;
const BAD_SELECTOR = 0x5678;
const GENERAL_PROTECTION = 13;

const calibrations = new WeakMap<UnicornLibrary, Calibration>();

/**
 * Finds the offsets, the first time by experiment on a CPU of its own.
 *
 * @throws {EngineError} `engine-calibration-failed` when something is not found, or not exactly once
 */
export function calibrate(library: UnicornLibrary): Calibration {
  let calibration = calibrations.get(library);
  if (!calibration) {
    calibration = experiment(library);
    calibrations.set(library, calibration);
  }
  return calibration;
}

function experiment(library: UnicornLibrary): Calibration {
  const memory = library.allocate(MEMORY);
  const uc = library.open();
  try {
    uc.map(0, MEMORY, PROT_ALL, memory, 0);
    uc.writeRegister(REG_EFLAGS, 2);
    const context = uc.contextAlloc();
    try {
      const segments = findSegments(library, uc, context);
      const hflags = segments - 8;
      checkSegments(library, uc, context, memory.bytes(), segments, hflags);
      return { segments, hflags, ...findException(library, uc, context, () => memory.bytes()) };
    } finally {
      context.free();
    }
  } finally {
    uc.close();
    memory.free();
  }
}

function words(context: ContextBlob): Int32Array {
  context.save();
  // A copy: the next call may move the blob. Fields are 4-byte aligned in it.
  const bytes = context.bytes().slice();
  return new Int32Array(bytes.buffer, 0, bytes.byteLength >>> 2);
}

function theOnly(library: UnicornLibrary, what: string, found: readonly number[]): number {
  const [index] = found;
  if (index === undefined || found.length !== 1) {
    throw new EngineError(
      'engine-calibration-failed',
      `${library.name} ${library.version}: ${what} found ${found.length} times in a CPU context, expected once.`,
    );
  }
  return index * 4;
}

function indexesWhere(length: number, test: (index: number) => boolean): number[] {
  const found: number[] = [];
  for (let i = 0; i < length; i++) if (test(i)) found.push(i);
  return found;
}

function findSegments(library: UnicornLibrary, uc: Unicorn, context: ContextBlob): number {
  uc.writeTable(REG_GDTR, { selector: 0, base: PATTERN.gdtBase, limit: PATTERN.gdtLimit, flags: 0 });
  uc.writeTable(REG_IDTR, { selector: 0, base: PATTERN.idtBase, limit: PATTERN.idtLimit, flags: 0 });
  const w = words(context);
  const base = theOnly(
    library,
    'GDTR with IDTR behind it',
    indexesWhere(
      w.length,
      i =>
        w[i] === PATTERN.gdtBase &&
        w[i + 2] === PATTERN.gdtLimit &&
        w[i + 6] === PATTERN.idtBase &&
        w[i + 8] === PATTERN.idtLimit,
    ),
  );
  return base - SEGMENT_CACHE.base - GDT_INDEX * SEGMENT_CACHE.size;
}

/** Loads registers with descriptors unlike each other, and looks whether they arrive where they should. */
function checkSegments(
  library: UnicornLibrary,
  uc: Unicorn,
  context: ContextBlob,
  memory: Uint8Array,
  segments: number,
  hflags: number,
): void {
  const table = new DataView(memory.buffer, memory.byteOffset + GDT, PAGE_SIZE);
  const cases: readonly { name: SegmentName; low: number; high: number; base: number; limit: number }[] = [
    { name: 'ss', low: 0x0000ffff, high: 0x00cf9300, base: 0, limit: 0xffffffff },
    { name: 'es', low: 0x1000abcd, high: 0x12409323, base: 0x12231000, limit: 0xabcd },
    { name: 'fs', low: 0x2000bcde, high: 0x00c19334, base: 0x00342000, limit: 0x1bcdefff },
    { name: 'gs', low: 0x3000cdef, high: 0x00409145, base: 0x00453000, limit: 0xcdef },
    { name: 'ds', low: 0x40000123, high: 0x00409356, base: 0x00564000, limit: 0x123 },
  ];
  cases.forEach(({ low, high }, i) => {
    table.setUint32((i + 1) * 8, low, true);
    table.setUint32((i + 1) * 8 + 4, high, true);
  });
  uc.writeTable(REG_GDTR, { selector: 0, base: GDT, limit: PAGE_SIZE - 1, flags: 0 });
  cases.forEach(({ name }, i) => {
    uc.writeRegister(REG_SEGMENT[name], (i + 1) * 8);
  });
  const w = words(context);
  const word = (offset: number): number => (w[offset >>> 2] ?? 0) >>> 0;
  const wrong = cases.find(({ name, high, base, limit }, i) => {
    const at = segments + SEGMENT_INDEX[name] * SEGMENT_CACHE.size;
    return !(
      word(at + SEGMENT_CACHE.selector) === (i + 1) * 8 &&
      word(at + SEGMENT_CACHE.base) === base &&
      word(at + SEGMENT_CACHE.limit) === limit &&
      word(at + SEGMENT_CACHE.flags) === high
    );
  });
  const derived = word(hflags) & (HFLAGS.cpl | HFLAGS.ss32 | HFLAGS.addSegment);
  if (wrong || derived !== (HFLAGS.ss32 | HFLAGS.addSegment)) {
    throw new EngineError(
      'engine-calibration-failed',
      `${library.name} ${library.version}: ${wrong?.name.toUpperCase() ?? 'hflags'} is not where it was found in known versions.`,
    );
  }
}

/** #GP(0x5678) by `mov ds, [0x200]`, a selector beyond the table. */
function findException(
  library: UnicornLibrary,
  uc: Unicorn,
  context: ContextBlob,
  memory: () => Uint8Array,
): Pick<Calibration, 'oldException' | 'errorCode'> {
  // 8e 1d disp32: mov ds, word [disp32]. DS has a base by now, which the address is relative to: SS is flat (36).
  memory().set([0x36, 0x8e, 0x1d, SELECTOR_IN_MEMORY & 0xff, SELECTOR_IN_MEMORY >>> 8, 0, 0], CODE);
  memory().set([BAD_SELECTOR & 0xff, BAD_SELECTOR >>> 8], SELECTOR_IN_MEMORY);
  const hook = uc.onInterrupt(() => uc.stop());
  const before = words(context);
  uc.start(CODE, CODE + 7, 0);
  const after = words(context);
  hook.remove();
  return {
    oldException: theOnly(
      library,
      'old_exception',
      indexesWhere(after.length, i => before[i] === -1 && after[i] === GENERAL_PROTECTION),
    ),
    errorCode: theOnly(
      library,
      'error_code',
      indexesWhere(after.length, i => before[i] !== BAD_SELECTOR && after[i] === BAD_SELECTOR),
    ),
  };
}
