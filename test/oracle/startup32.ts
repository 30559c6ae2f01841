/** Runs a case in startup32's Machine, and says what a CPU's handler would have found: the same as the boot image does. */
import { type CpuModel, findCpuModel } from '../../emulator/cpu-models/index.ts';
import { GENERAL_REGISTERS, type GeneralRegister, linearEip } from '../../emulator/cpu-state.ts';
import { decodeInstruction } from '../../emulator/decode/instruction.ts';
import type { Effect } from '../../emulator/effect.ts';
import type { EntryState, MemoryRegion, Platform, SegmentEntry } from '../../emulator/entry-state.ts';
import { Machine } from '../../emulator/machine.ts';
import { walk } from '../../emulator/paging.ts';
import type { RunOptions } from '../../emulator/run-options.ts';
import {
  decodeDescriptor,
  isNullSelector,
  SEGMENT_NAMES,
  type SegmentName,
} from '../../emulator/segmentation.ts';
import { deliver } from '../../emulator/sensitive/delivery.ts';
import { MsrFile, privilegeState, type Situation } from '../../emulator/sensitive/index.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { HostMemory, UnicornLibrary } from '../../emulator/unicorn/api.ts';
import {
  arenaOf,
  CHECKED_TABLES,
  checksum,
  cr3Of,
  HANDLER_SIZE,
  HANDLERS,
  REAL_MODE_HANDLER,
  RUNNER_STACK_TOP,
} from './arena.ts';
import {
  ARENA,
  DATA,
  DATA_SIZE,
  END_VECTOR,
  GDT,
  GDT_LIMIT,
  IDT,
  IDT_LIMIT,
  LDT,
  type OracleCase,
  type Outcome,
  RUNNER_CODE,
  STACK,
  STACK_SIZE,
  TSS_SELECTOR,
} from './case.ts';
import type { CaseResult, Failure } from './result.ts';

const MEMORY = 0x100000;
/** Has what the models of the other CPUs have, and a case may use. */
const CPU_MODEL = 'i686-umip';
/** No case is longer than a few dozen instructions. */
const INSTRUCTIONS = 4000;
const CR0_PE_ET = 0x11;
const CR0_PG = 0x80000000;
const CR4_PAE = 0x20;
const FLAG_RF = 0x10000;
const ACCESSED = 0x1;
const TYPE_BUSY = 0x2;
const TASK_GATE = 0x5;
/** A handler may end in another INT n. */
const MOST_HANDLERS = 8;
const PLATFORM: Platform = { hypervisor: 'none', hypercallVectors: [END_VECTOR], cpuModel: CPU_MODEL };
const PAGE_FAULT = 14;

/** Runs cases one after the other on one engine. */
export class Startup32 {
  readonly #library: UnicornLibrary;
  #allocated: HostMemory | undefined;

  constructor(library: UnicornLibrary) {
    // The Machine shows linear memory; what a case left behind is looked at where it physically is.
    const allocate = (size: number): HostMemory => {
      const memory = library.allocate(size);
      // A second pass takes new memory.
      if (size === MEMORY) this.#allocated = memory;
      return memory;
    };
    const { name, version, capabilities } = library;
    this.#library = { name, version, capabilities, open: () => library.open(), allocate };
  }

  #memory(): Uint8Array {
    if (!this.#allocated) throw new Error('the machine has no memory');
    return this.#allocated.bytes();
  }

  run(oracleCase: OracleCase, options: RunOptions = {}): CaseResult {
    this.#allocated = undefined;
    let machine: Machine | undefined;
    try {
      machine = Machine.open(this.#library, entryOf(oracleCase));
      let stop = machine.run({ instructions: INSTRUCTIONS, stopOn: 'fault', ...options });
      for (let handlers = 0; handlers < MOST_HANDLERS; handlers++) {
        const effect = toOwnHandler(stop, this.#memory());
        if (!effect) break;
        machine.answer({ type: 'delivered', effect });
        stop = machine.run({ instructions: INSTRUCTIONS, stopOn: 'fault', ...options });
      }
      const memory = this.#memory();
      return outcomeOf(stop, memory, oracleCase);
    } catch (error) {
      return { failure: 'error', detail: error instanceof Error ? error.message : String(error) };
    } finally {
      machine?.close();
    }
  }
}

/**
 * Where INT n leads to, when that is no handler of the template: the Machine stops there, because what follows is the
 * business of whoever owns the IDT. Here that is the case.
 */
function toOwnHandler(stop: Stop, memory: Uint8Array): Effect | undefined {
  if (stop.kind !== 'software-interrupt' || !stop.exception || !stop.instruction) return undefined;
  const { cpu, exception, instruction } = stop;
  if (exception.errorCode !== undefined) return undefined;
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const physical = (address: number): number | undefined =>
    address + 4 <= memory.length ? view.getUint32(address, true) : undefined;
  const read = (linear: number, size: number): Uint8Array =>
    Uint8Array.from({ length: size }, (_, i) => {
      const at = walk((linear + i) >>> 0, cpu.control, physical).physical;
      return (at === undefined ? undefined : memory[at]) ?? 0;
    });
  const gate = new DataView(read(cpu.idtr.base + 8 * exception.vector, 8).buffer);
  const isTask = (gate.getUint8(5) & 0x1f) === TASK_GATE;
  if (!isTask && gate.getUint16(2, true) >>> 2 === RUNNER_CODE >>> 2) return undefined;
  const state = privilegeState(cpu);
  const situation: Situation = {
    instruction: decodeInstruction(instruction.bytes, linearEip(cpu), state.bits, cpu.registers),
    bytes: instruction.bytes,
    cpu,
    state,
    platform: PLATFORM,
    model: findCpuModel(CPU_MODEL) as CpuModel,
    read,
    tsc: () => 0n,
    random: () => 0,
    msrs: new MsrFile(),
  };
  const returnEip = (cpu.eip + instruction.bytes.length) >>> 0;
  return deliver(situation, { vector: exception.vector, software: true, returnEip });
}

/** The segment register as it is after a load of `selector`. */
function segmentOf(tables: DataView, selector: number, mode: OracleCase['mode']): SegmentEntry {
  if (mode === 'vm86') {
    const descriptor = decodeDescriptor(0x0000ffff, 0x0000f300);
    return { selector, promised: true, descriptor: { ...descriptor, base: selector << 4 } };
  }
  if (isNullSelector(selector)) return { selector, promised: true, descriptor: undefined };
  const at = descriptorAddress(selector) - ARENA;
  const high = tables.getUint32(at + 4, true);
  return { selector, promised: true, descriptor: decodeDescriptor(tables.getUint32(at, true), high) };
}

const descriptorAddress = (selector: number): number =>
  ((selector & 4) !== 0 ? LDT : GDT) + (selector & 0xfff8);

/** EntryState of a case: what the boot image does with LTR, LLDT, MOV and IRET. */
export function entryOf(oracleCase: OracleCase): EntryState {
  const { mode, ring, registers, selectors, paging, ldtr, cr0, cr4 } = oracleCase;
  const arena = arenaOf(oracleCase);
  const view = new DataView(arena.buffer);
  const mark = (selector: number, bits: number): void => {
    const at = descriptorAddress(selector) - ARENA + 5;
    view.setUint8(at, view.getUint8(at) | bits);
  };
  mark(TSS_SELECTOR, TYPE_BUSY);
  if (mode === 'protected') {
    for (const selector of Object.values(selectors)) if (!isNullSelector(selector)) mark(selector, ACCESSED);
  }
  // IRET to a 16-bit stack of an outer ring loads SP only: the rest of ESP is the runner's (SDM vol. 2, IRET).
  const esp =
    mode === 'protected' && ring !== 0 && segmentOf(view, selectors.ss, mode).descriptor?.big === false
      ? (registers.esp & 0xffff) | (RUNNER_STACK_TOP & 0xffff0000)
      : registers.esp;
  const segment = (name: SegmentName): SegmentEntry => segmentOf(view, selectors[name], mode);
  return {
    protocol: 'oracle',
    knobs: {},
    ring,
    registers: Object.fromEntries(
      GENERAL_REGISTERS.map(name => [
        name,
        { value: name === 'esp' ? esp : registers[name], promised: true },
      ]),
    ) as EntryState['registers'],
    eip: mode === 'vm86' ? oracleCase.eip & 0xffff : oracleCase.eip,
    eflags: oracleCase.eflags,
    segments: {
      es: segment('es'),
      cs: segment('cs'),
      ss: segment('ss'),
      ds: segment('ds'),
      fs: segment('fs'),
      gs: segment('gs'),
    },
    ldtr: segmentOf(view, ldtr, 'protected'),
    tr: segmentOf(view, TSS_SELECTOR, 'protected'),
    gdtr: { base: GDT, limit: GDT_LIMIT },
    idtr: { base: IDT, limit: IDT_LIMIT },
    control: {
      cr0: (CR0_PE_ET | cr0 | (paging === 'off' ? 0 : CR0_PG)) >>> 0,
      cr2: 0,
      cr3: cr3Of(paging),
      cr4: cr4 | (paging === 'pae' ? CR4_PAE : 0),
      efer: oracleCase.efer,
    },
    paging: { mode: paging, mappings: [] },
    banks: [{ name: 'RAM', start: 0, size: MEMORY, kind: 'ram' }],
    regions: [region('vectors', 0, realModeVectors()), region('arena', ARENA, arena)],
    structures: [],
    platform: PLATFORM,
  };
}

const region = (name: string, start: number, contents: Uint8Array): MemoryRegion => ({
  name,
  start,
  size: contents.length,
  owner: 'kernel',
  contents,
  defined: true,
});

/** The interrupt vectors of virtual-8086 mode: all of them the one handler. */
function realModeVectors(): Uint8Array {
  const vectors = new DataView(new ArrayBuffer(0x400));
  for (let at = 0; at < 0x400; at += 4) {
    vectors.setUint16(at, REAL_MODE_HANDLER.ip, true);
    vectors.setUint16(at + 2, REAL_MODE_HANDLER.cs, true);
  }
  return new Uint8Array(vectors.buffer);
}

interface Raised {
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** Bytes that EIP is behind the instruction: software interrupts are traps. */
  readonly behind: number;
}

function raisedBy(stop: Stop): Raised | Failure {
  const length = stop.instruction?.bytes.length ?? 0;
  switch (stop.kind) {
    case 'hypercall':
      return { vector: END_VECTOR, errorCode: undefined, behind: length };
    case 'software-interrupt': {
      if (!stop.exception) return { failure: 'error', detail: 'a software interrupt without a vector' };
      const { vector, errorCode } = stop.exception;
      if (errorCode !== undefined) return { vector, errorCode, behind: 0 };
      return { vector: handlerOf(stop, vector), errorCode, behind: length };
    }
    case 'engine-limit':
      return { failure: 'limit', detail: `${stop.limit}: ${stop.detail}` };
    case 'budget':
    case 'timeout':
    case 'interrupted':
      return { failure: 'wedged', detail: stop.kind };
    case 'halt':
    case 'long-mode':
    case 'reached':
      return { failure: 'wedged', detail: stop.kind };
    default:
      if (!stop.exception) return { failure: 'wedged', detail: `${stop.kind} without an exception` };
      return { vector: stop.exception.vector, errorCode: stop.exception.errorCode, behind: 0 };
  }
}

/** A case's own gates lead to one of the template's handlers. */
function handlerOf(stop: Stop, vector: number): number {
  if (vector <= END_VECTOR || stop.delivery?.to !== 'gate') return vector;
  const offset = stop.delivery.offset - HANDLERS;
  return offset >= 0 && offset % HANDLER_SIZE === 0 ? offset / HANDLER_SIZE : vector;
}

function outcomeOf(stop: Stop, memory: Uint8Array, oracleCase: OracleCase): CaseResult {
  const raised = raisedBy(stop);
  if ('failure' in raised) return raised;
  const { cpu } = stop;
  const sum = (start: number, size: number): number => checksum(memory.slice(start, start + size));
  const tables = new Uint8Array(CHECKED_TABLES.reduce((total, { size }) => total + size, 0));
  let at = 0;
  for (const { start, size } of CHECKED_TABLES) {
    tables.set(memory.subarray(start, start + size), at);
    at += size;
  }
  const registers = {} as Record<GeneralRegister, number>;
  for (const name of GENERAL_REGISTERS) registers[name] = cpu.registers[name];
  const selectors = {} as Record<SegmentName, number>;
  for (const name of SEGMENT_NAMES) selectors[name] = cpu.segments[name].selector;
  const mask = oracleCase.mode === 'vm86' ? 0xffff : 0xffffffff;
  return {
    vector: raised.vector,
    errorCode: raised.errorCode,
    eip: ((cpu.eip + raised.behind) & mask) >>> 0,
    eflags: (cpu.eflags & ~FLAG_RF) >>> 0,
    registers,
    selectors,
    cr0: cpu.control.cr0,
    cr2: raised.vector === PAGE_FAULT ? cpu.control.cr2 : 0,
    cr3: cpu.control.cr3,
    cr4: cpu.control.cr4,
    gdtr: cpu.gdtr,
    idtr: cpu.idtr,
    ldtr: cpu.ldtr.selector,
    tr: cpu.tr.selector,
    data: sum(DATA, DATA_SIZE),
    stack: sum(STACK, STACK_SIZE),
    tables: checksum(tables),
  } satisfies Outcome;
}
