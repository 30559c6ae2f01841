/**
 * A CPU's whole state, read from Unicorn and put into it.
 *
 * `uc_reg_write` can neither enter ring 1 to 3, nor load a selector that no GDT describes, nor write a segment
 * register's hidden part. All of that is in the context: so it is patched there, and restored.
 */
import {
  type CpuState,
  GENERAL_REGISTERS,
  type GeneralRegister,
  type Ring,
  type TableRegister,
} from '../../cpu-state.ts';
import { MSR_EFER } from '../../msrs.ts';
import {
  type Descriptor,
  decodeDescriptor,
  encodeDescriptor,
  isNullSelector,
  SEGMENT_NAMES,
  type SegmentName,
  type SegmentRegister,
} from '../../segmentation.ts';
import type { ContextBlob, Unicorn } from '../api.ts';
import {
  REG_CR0,
  REG_CR2,
  REG_CR3,
  REG_CR4,
  REG_EFLAGS,
  REG_EIP,
  REG_GDTR,
  REG_GENERAL,
  REG_IDTR,
} from '../constants.ts';
import { EngineError } from '../errors.ts';
import { type Calibration, COPROCESSOR_SHIFT, HFLAGS, SEGMENT_CACHE, SEGMENT_INDEX } from './calibration.ts';
import { viewOf } from './exceptions.ts';

/** SDM vol. 3, 2.5: without it SSE instructions are invalid. */
const CR4_OSFXSR = 1 << 9;
/** P in a descriptor's high dword: SDM vol. 3, figure 3-8. */
const PRESENT = 1 << 15;
/** EFLAGS bit 1 is always 1 (SDM vol. 1, 3.4.3); unicorn.js starts with 0. */
const EFLAGS_RESERVED = 2;

type SegmentOrTable = SegmentName | 'ldtr' | 'tr';
const CACHES: readonly SegmentOrTable[] = [...SEGMENT_NAMES, 'ldtr', 'tr'];

export interface HiddenSegments {
  readonly segments: Readonly<Record<SegmentName, SegmentRegister>>;
  readonly ldtr: SegmentRegister;
  readonly tr: SegmentRegister;
  readonly cpl: Ring;
}

/** The segment registers with their hidden parts; `context` is overwritten. */
export function readHiddenSegments(context: ContextBlob, calibration: Calibration): HiddenSegments {
  context.save();
  const view = viewOf(context);
  const read = (name: SegmentOrTable): SegmentRegister => readCache(view, calibration, name);
  return {
    segments: {
      es: read('es'),
      cs: read('cs'),
      ss: read('ss'),
      ds: read('ds'),
      fs: read('fs'),
      gs: read('gs'),
    },
    ldtr: read('ldtr'),
    tr: read('tr'),
    cpl: (view.getUint32(calibration.hflags, true) & HFLAGS.cpl) as Ring,
  };
}

function cacheOffset(calibration: Calibration, name: SegmentOrTable): number {
  return calibration.segments + SEGMENT_INDEX[name] * SEGMENT_CACHE.size;
}

function readCache(view: DataView, calibration: Calibration, name: SegmentOrTable): SegmentRegister {
  const at = cacheOffset(calibration, name);
  const selector = view.getUint32(at + SEGMENT_CACHE.selector, true) & 0xffff;
  const high = view.getUint32(at + SEGMENT_CACHE.flags, true);
  // LLDT of a null selector leaves the flags as they were; LTR takes none, and a hypervisor may put a TSS behind selector 0
  // all the same. In virtual-8086 mode selectors below 4 are not null.
  if ((name === 'ldtr' && isNullSelector(selector)) || (high & PRESENT) === 0)
    return { selector, descriptor: undefined };
  const base = view.getUint32(at + SEGMENT_CACHE.base, true);
  const limit = view.getUint32(at + SEGMENT_CACHE.limit, true);
  // Base and limit are kept apart from the flags, which are the descriptor's high dword with stale base and limit bits.
  const flags = decodeDescriptor(0, high);
  return { selector, descriptor: { ...flags, base, limit } };
}

function writeCache(
  view: DataView,
  calibration: Calibration,
  name: SegmentOrTable,
  register: SegmentRegister,
): void {
  const at = cacheOffset(calibration, name);
  const { descriptor } = register;
  view.setUint32(at + SEGMENT_CACHE.selector, register.selector, true);
  view.setUint32(at + SEGMENT_CACHE.base, descriptor?.base ?? 0, true);
  view.setUint32(at + SEGMENT_CACHE.base + 4, 0, true);
  view.setUint32(at + SEGMENT_CACHE.limit, descriptor?.limit ?? 0, true);
  view.setUint32(at + SEGMENT_CACHE.flags, descriptor ? encodeDescriptor(descriptor).high : 0, true);
}

/** Everything of {@link CpuState}; `context` is overwritten. */
export function readCpuState(uc: Unicorn, context: ContextBlob, calibration: Calibration): CpuState {
  const registers = {} as Record<GeneralRegister, number>;
  for (const name of GENERAL_REGISTERS) registers[name] = uc.readRegister(REG_GENERAL[name]);
  return {
    registers,
    eip: uc.readRegister(REG_EIP),
    eflags: (uc.readRegister(REG_EFLAGS) | EFLAGS_RESERVED) >>> 0,
    ...readHiddenSegments(context, calibration),
    gdtr: readTable(uc, REG_GDTR),
    idtr: readTable(uc, REG_IDTR),
    control: {
      cr0: uc.readRegister(REG_CR0),
      cr2: uc.readRegister(REG_CR2),
      cr3: uc.readRegister(REG_CR3),
      cr4: uc.readRegister(REG_CR4),
      efer: Number(uc.readMsr(MSR_EFER)),
    },
  };
}

function readTable(uc: Unicorn, id: number): TableRegister {
  const { base, limit } = uc.readTable(id);
  return { base, limit };
}

/**
 * Puts the CPU in exactly this state, whatever it was in before. Touches no guest memory and runs no instruction:
 * selectors need not be in any table. `context` is overwritten.
 *
 * @throws {EngineError} `engine-state-rejected` when the CPU reads back otherwise, e.g. an EFER bit it does not have
 */
export function enterCpuState(
  uc: Unicorn,
  context: ContextBlob,
  calibration: Calibration,
  state: CpuState,
): void {
  for (const name of GENERAL_REGISTERS) uc.writeRegister(REG_GENERAL[name], state.registers[name]);
  uc.writeTable(REG_GDTR, { selector: 0, ...state.gdtr, flags: 0 });
  uc.writeTable(REG_IDTR, { selector: 0, ...state.idtr, flags: 0 });
  // SDM vol. 3, 9.9.1 (the order in which paging is set up): CR0.PG last.
  uc.writeMsr(MSR_EFER, BigInt(state.control.efer));
  uc.writeRegister(REG_CR4, state.control.cr4);
  uc.writeRegister(REG_CR3, state.control.cr3);
  uc.writeRegister(REG_CR0, state.control.cr0);
  uc.writeRegister(REG_EFLAGS, (state.eflags | EFLAGS_RESERVED) >>> 0);
  uc.writeRegister(REG_EIP, state.eip);

  context.save();
  const view = viewOf(context);
  for (const name of CACHES) {
    const register = name === 'ldtr' || name === 'tr' ? state[name] : state.segments[name];
    writeCache(view, calibration, name, register);
  }
  view.setUint32(calibration.hflags, hflagsOf(view.getUint32(calibration.hflags, true), state), true);
  view.setInt32(calibration.oldException, -1, true);
  view.setUint32(cr2Offset(calibration), state.control.cr2, true);
  context.restore();

  verify(state, readCpuState(uc, context, calibration));
}

/** cpu.h: `target_ulong cr[5]` stands behind the segments, LDT, TR, GDT and IDT. */
const cr2Offset = (calibration: Calibration): number =>
  calibration.segments + CACHES_BEFORE_CR * SEGMENT_CACHE.size + 2 * 8;
const CACHES_BEFORE_CR = 10;

/**
 * CR2 alone: libunicorn's `uc_reg_write` of it writes CR3.
 *
 * @throws {EngineError} `engine-state-rejected` when it is not where it is in known versions
 */
export function writeCr2(uc: Unicorn, context: ContextBlob, calibration: Calibration, value: number): void {
  context.save();
  viewOf(context).setUint32(cr2Offset(calibration), value, true);
  context.restore();
  const found = uc.readRegister(REG_CR2);
  if (found !== value >>> 0) {
    throw new EngineError(
      'engine-state-rejected',
      `The CPU does not take CR2: it is 0x${found.toString(16)}, expected 0x${value.toString(16)}.`,
    );
  }
}

/** What QEMU derives from the hidden parts (cpu_x86_load_seg_cache), from CR0 and from CR4 (cpu_x86_update_cr0, _cr4). */
function hflagsOf(hflags: number, state: CpuState): number {
  const { cs, ss, ds, es } = state.segments;
  const base = (register: SegmentRegister): number => register.descriptor?.base ?? 0;
  const big = (descriptor: Descriptor | undefined): boolean => descriptor?.big ?? false;
  const derived =
    HFLAGS.cpl | HFLAGS.cs32 | HFLAGS.ss32 | HFLAGS.addSegment | HFLAGS.coprocessor | HFLAGS.osfxsr;
  const kept = hflags & ~derived;
  const addSegment = !big(cs.descriptor) || base(ds) !== 0 || base(es) !== 0 || base(ss) !== 0;
  return (
    (kept |
      state.cpl |
      (big(cs.descriptor) ? HFLAGS.cs32 : 0) |
      (big(ss.descriptor) ? HFLAGS.ss32 : 0) |
      (addSegment ? HFLAGS.addSegment : 0) |
      ((state.control.cr0 << COPROCESSOR_SHIFT) & HFLAGS.coprocessor) |
      ((state.control.cr4 & CR4_OSFXSR) !== 0 ? HFLAGS.osfxsr : 0)) >>>
    0
  );
}

function verify(asked: CpuState, found: CpuState): void {
  const wrong = firstDifference({ ...asked, eflags: (asked.eflags | EFLAGS_RESERVED) >>> 0 }, found, '');
  if (wrong) {
    throw new EngineError('engine-state-rejected', `The CPU does not take the entry state: ${wrong}.`);
  }
}

function firstDifference(asked: unknown, found: unknown, path: string): string | undefined {
  if (typeof asked === 'object' && asked !== null && typeof found === 'object' && found !== null) {
    for (const key of Object.keys(found)) {
      const difference = firstDifference(
        (asked as Record<string, unknown>)[key],
        (found as Record<string, unknown>)[key],
        path === '' ? key : `${path}.${key}`,
      );
      if (difference) return difference;
    }
    return undefined;
  }
  if (asked === found) return undefined;
  const text = (value: unknown): string =>
    typeof value === 'number' ? `0x${value.toString(16)}` : String(value);
  return `${path} is ${text(found)}, expected ${text(asked)}`;
}
