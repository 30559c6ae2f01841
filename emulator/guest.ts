/**
 * Guest: an EntryState put into an engine – memory, CPU, devices, and what is known about its code. It runs once from
 * its entry; a second pass takes a new one.
 */
import { BlockMap, sameBytes } from './blocks.ts';
import { createClock, createRandom } from './clock.ts';
import type { Continuation } from './continuation.ts';
import { CR0_PE, CR0_PG, EFER_NXE } from './control-bits.ts';
import { InstructionCounter } from './counter.ts';
import { type CpuModel, findCpuModel } from './cpu-models/index.ts';
import { type CpuState, type GeneralRegister, linearEip } from './cpu-state.ts';
import { type Effect, isSimple, type LinearWrite, merged } from './effect.ts';
import { cpuStateOf, type EntryState } from './entry-state.ts';
import { IdentityPaging } from './identity-paging.ts';
import { type Bank, PhysicalMemory } from './memory.ts';
import { MSR_EFER, MSR_TSC } from './msrs.ts';
import { Observer } from './observe/observer.ts';
import { accessProblem, PAGE_SIZE, pageRuns, pagingIsOn, walk } from './paging.ts';
import { PortBus } from './ports.ts';
import { MsrFile, type PrivilegeState, privilegeState, type Watch } from './sensitive/index.ts';
import type { EngineLimit } from './stop.ts';
import { COM1, Uart } from './uart.ts';
import type { Hook, UnicornLibrary } from './unicorn/api.ts';
import { Processor, type ProcessorEvents } from './unicorn/processor.ts';

const ADDRESS_SPACE = 2 ** 32;
/** EFER as far as a 32-bit CPU has it: SCE and NXE. */
const ENGINE_EFER = EFER_NXE | 1;
/** Seed of the numbers that RDRAND and RDSEED give. */
const RANDOM_SEED = 0x32;

export interface GuestOptions {
  readonly onSerial: (byte: number) => void;
}

export class Guest {
  readonly entry: EntryState;
  readonly memory: PhysicalMemory;
  readonly processor: Processor;
  readonly blocks: BlockMap;
  readonly counter = new InstructionCounter();
  readonly clock = createClock();
  readonly random = createRandom(RANDOM_SEED);
  readonly msrs = new MsrFile();
  readonly model: CpuModel;
  readonly watch: Watch;
  /** What silent instructions showed the kernel, and what it did in ring 0 that it should have asked for. */
  readonly observer: Observer;
  /** What decides about sensitive instructions now; kept up to date by {@link refresh}. */
  state: PrivilegeState;
  /** Set when the engine, or this program, cannot follow the guest any further. */
  limit: { readonly limit: EngineLimit; readonly detail: string } | undefined;
  /** A page table may have been written since the mapping was last looked at. */
  mappingChanged = false;
  /** Writes to page tables are noted and let through; else they end the run before them. */
  passTableWrites = true;
  readonly #library: UnicornLibrary;
  readonly #ports: PortBus;
  readonly #paging: IdentityPaging | undefined;
  readonly #guarded: readonly { start: number; size: number }[];
  #tableHooks: Hook[] = [];
  #tablePages: ReadonlySet<number> = new Set();
  /** Control registers, for translating code addresses without asking the CPU every time. */
  #control: CpuState['control'];
  #codeBase: number;

  /** Set by who runs the guest: a block is about to run, and true stops before it. */
  onBlock: ProcessorEvents['block'] = () => false;

  constructor(library: UnicornLibrary, entry: EntryState, options: GuestOptions) {
    this.entry = entry;
    this.#library = library;
    const model = findCpuModel(entry.platform.cpuModel);
    if (!model) throw new RangeError(`there is no CPU model ${entry.platform.cpuModel}`);
    this.model = model;
    this.observer = new Observer(entry.segments, entry.platform);
    this.memory = new PhysicalMemory(
      entry.banks.map(bank => ({ ...bank, memory: library.allocate(bank.size) })),
    );
    this.memory.load(entry);
    this.#ports = new PortBus([new Uart(COM1, options.onSerial)]);
    this.processor = new Processor(library, {
      block: (start, size) => this.onBlock(start, size),
      portRead: (port, size) => this.#ports.read(port, size),
      portWrite: (port, size, value) => this.#ports.write(port, size, value),
    });
    this.#guarded = entry.regions
      .filter(r => r.guarded)
      .map(r => ({ start: r.start, size: Math.ceil(r.size / PAGE_SIZE) * PAGE_SIZE }));
    for (const bank of this.memory.banks) this.#mapBank(bank);
    this.processor.enter(cpuStateOf(entry));
    this.msrs.write(MSR_EFER, BigInt(entry.control.efer));
    const identity = this.processor.capabilities.paging === 'identity';
    this.#paging = identity ? new IdentityPaging(this.memory, this.processor) : undefined;
    this.blocks = new BlockMap({
      fetch: (linear, size) => this.code(linear, size),
      holds: (linear, bytes) => this.holds(linear, bytes),
    });
    this.watch = { descriptorReads: this.#guarded.length > 0, mappingChanges: identity };
    const cpu = this.cpu();
    this.#control = cpu.control;
    this.#codeBase = cpu.segments.cs.descriptor?.base ?? 0;
    this.state = privilegeState(cpu);
    this.#tally();
    this.#followMapping(cpu);
    this.guard(true);
  }

  close(): void {
    this.processor.close();
    this.memory.free();
  }

  /** Guarded ranges are mapped on their own, so that a mapping is only ever protected as a whole. */
  #mapBank(bank: Bank): void {
    const end = bank.start + bank.size;
    const cuts = this.#guarded
      .flatMap(({ start, size }) => [start, start + size])
      .filter(cut => cut > bank.start && cut < end);
    const edges = [...new Set([bank.start, ...cuts, end])].sort((a, b) => a - b);
    for (const [i, from] of edges.slice(0, -1).entries()) {
      const to = edges[i + 1] ?? end;
      this.processor.map(from, to - from, bank.memory, from - bank.start, bank.kind === 'ram');
    }
  }

  cpu(): CpuState {
    const cpu = this.processor.readCpuState();
    // EFER.LME and LMA are kept here: the engine stays a 32-bit CPU.
    return { ...cpu, control: { ...cpu.control, efer: Number(this.msrs.read(MSR_EFER) & 0xffffffffn) } };
  }

  /** Closes or opens the loader's guarded pages; the CPU's own reads of the GDT need them open. */
  guard(closed: boolean): void {
    for (const { start, size } of this.#guarded) this.processor.guard(start, size, closed);
  }

  /** Live bytes of code or data at a linear address, to the end of its page run; empty where nothing is mapped. */
  code(linear: number, size: number): Uint8Array {
    if (!pagingIsOn(this.#control)) return this.memory.view(linear, size);
    const first = this.#translate(linear);
    if (first === undefined) return new Uint8Array(0);
    const inPage = PAGE_SIZE - (linear % PAGE_SIZE);
    if (size <= inPage) return this.memory.view(first, size);
    // Pages that follow each other in linear memory need not do so in physical memory.
    const bytes = new Uint8Array(size);
    let done = 0;
    while (done < size) {
      const at = linear + done;
      if (at >= 2 ** 32) break;
      const physical = this.#translate(at);
      if (physical === undefined) break;
      const part = this.memory.view(physical, Math.min(size - done, PAGE_SIZE - (at % PAGE_SIZE)));
      if (part.length === 0) break;
      bytes.set(part, done);
      done += part.length;
    }
    return bytes.subarray(0, done);
  }

  /** Whether these very bytes stand at a linear address. Asked for each block that runs: it makes no object. */
  holds(linear: number, bytes: Uint8Array): boolean {
    if (!pagingIsOn(this.#control)) return this.memory.holds(linear, bytes);
    if (bytes.length > PAGE_SIZE - (linear % PAGE_SIZE)) {
      return sameBytes(this.code(linear, bytes.length), bytes);
    }
    const physical = this.#translate(linear);
    return physical !== undefined && this.memory.holds(physical, bytes);
  }

  #translate(linear: number): number | undefined {
    return walk(linear, this.#control, physical => this.memory.read32(physical)).physical;
  }

  /** Whether the mapping lets the present level fetch an instruction there. */
  mayFetch(linear: number, length = 1): boolean {
    if (!pagingIsOn(this.#control)) return true;
    const fetches = (address: number): boolean => {
      const result = walk(address, this.#control, physical => this.memory.read32(physical));
      return accessProblem(result, 'fetch', this.state.cpl, this.#control) === undefined;
    };
    const last = (linear + Math.max(length, 1) - 1) % ADDRESS_SPACE;
    return fetches(linear) && (linear >>> 12 === last >>> 12 || fetches(last));
  }

  /** A copy of linear memory; shorter where the mapping or the memory ends. */
  readLinear(linear: number, size: number): Uint8Array {
    return this.code(linear >>> 0, size).slice();
  }

  /** To be called when an instruction ran that may have changed rings, segments or control registers. */
  refresh(cpu: CpuState): void {
    const before = this.#control;
    const { control } = cpu;
    if (
      control.cr0 !== before.cr0 ||
      control.cr3 !== before.cr3 ||
      control.cr4 !== before.cr4 ||
      control.efer !== before.efer
    ) {
      this.#control = control;
      this.blocks.clear();
      if (this.processor.watching === 'new') this.processor.dropAll();
      this.mappingChanged = true;
    }
    const codeBase = cpu.segments.cs.descriptor?.base ?? 0;
    if (codeBase !== this.#codeBase) {
      this.#codeBase = codeBase;
      this.blocks.clear();
      if (this.processor.watching === 'new') this.processor.dropAll();
    }
    const state = privilegeState(cpu);
    if (state.key !== this.state.key && this.processor.watching === 'new') {
      // Translated blocks were looked at for another state.
      this.processor.forgetStopPoints();
      this.processor.dropAll();
    }
    this.state = state;
    this.#tally();
    this.limit ??= modeLimit(cpu);
    if (this.mappingChanged) this.#followMapping(cpu);
  }

  #tally(): void {
    this.counter.tally = this.observer.tally(this.state.cpl);
  }

  #followMapping(cpu: CpuState): void {
    this.mappingChanged = false;
    if (!this.#paging) return;
    const result = this.#paging.follow(cpu.control);
    for (const hook of this.#tableHooks) hook.remove();
    this.#tableHooks = [];
    this.#tablePages = result.ok ? result.tablePages : new Set();
    if (!result.ok) {
      this.limit = { limit: 'paging-not-identity', detail: result.detail };
      return;
    }
    if ((cpu.control.cr0 & CR0_PG) === 0) return;
    for (const [begin, end] of pageRuns(result.tablePages)) {
      this.#tableHooks.push(
        this.processor.onMemoryWrite(begin, end - 1, () => {
          this.mappingChanged = true;
          if (!this.passTableWrites) this.processor.stop();
        }),
      );
    }
  }

  /**
   * Does what the instruction at EIP does, in place of the engine.
   *
   * @param length bytes of the instruction
   * @returns the linear address at which control goes on
   */
  apply(effect: Effect, length: number): number {
    const { processor } = this;
    const next = (effect.eip === undefined ? processor.eip + length : this.#codeBase + effect.eip) >>> 0;
    for (const write of effect.writes ?? []) this.#write(write);
    for (const { index, value } of effect.msrs ?? []) this.#writeMsr(index, value);
    const { dr6, dr7 } = effect.debug ?? {};
    if (dr6 !== undefined) processor.writeDebug(6, dr6);
    if (dr7 !== undefined) processor.writeDebug(7, dr7);
    const eflags = effect.eflags === undefined ? 0 : processor.eflags;
    if (isSimple(effect, eflags)) {
      for (const [name, value] of Object.entries(effect.registers ?? {})) {
        processor.writeRegister(name as GeneralRegister, value);
      }
      if (effect.eflags !== undefined) processor.writeFlags(effect.eflags);
      processor.eip = next;
      if (this.mappingChanged) this.refresh(this.cpu());
      return next;
    }
    const before = processor.readCpuState();
    const efer = effect.control?.efer;
    if (efer !== undefined) this.msrs.write(MSR_EFER, BigInt(efer));
    const after = merged(before, effect, (before.eip + length) >>> 0);
    processor.enter({
      ...after,
      control: { ...after.control, efer: efer === undefined ? before.control.efer : efer & ENGINE_EFER },
    });
    const cpu = this.cpu();
    // A write to CR0, CR3 or CR4 flushes the TLB: what is in the tables counts from here on.
    if (effect.control) this.mappingChanged = true;
    this.refresh(cpu);
    return linearEip(cpu);
  }

  /**
   * Does what an answer to a Stop asks for; letting the instruction pass is the Session's to do.
   *
   * @param length bytes of the instruction
   */
  answer(continuation: Exclude<Continuation, { type: 'let-pass' }>, length: number): void {
    const next = this.apply(continuation.effect, length);
    // Code that control was led to is a new entry of the trail.
    if (continuation.type === 'done')
      this.counter.retireOne(continuation.effect.eip === undefined ? next : -1);
  }

  /**
   * Memory that is not there answers as an empty bus does, until `remove`: reads give all ones, writes are lost. Pages
   * with memory behind them stay what they are.
   *
   * @param address physical
   */
  emptyBus({ address, size }: { readonly address: number; readonly size: number }): Hook {
    const first = address - (address % PAGE_SIZE);
    const pages = Math.ceil((address + Math.max(size, 1) - first) / PAGE_SIZE);
    const memory = this.#library.allocate(pages * PAGE_SIZE);
    memory.bytes().fill(0xff);
    const floating = Array.from({ length: pages }, (_, i) => first + i * PAGE_SIZE).filter(
      page => page < ADDRESS_SPACE && this.memory.bankOf(page) === undefined,
    );
    for (const page of floating) this.processor.map(page, PAGE_SIZE, memory, page - first, true);
    return {
      remove: () => {
        for (const page of floating) this.processor.unmap(page, PAGE_SIZE);
        memory.free();
      },
    };
  }

  /** As RDMSR reads it: the time-stamp counter is virtual time and what was written to it. */
  readMsr(index: number): bigint {
    const value = this.msrs.read(index);
    return index === MSR_TSC ? BigInt.asUintN(64, value + this.clock.tsc(this.counter.retired)) : value;
  }

  #writeMsr(index: number, value: bigint): void {
    this.msrs.write(index, index === MSR_TSC ? value - this.clock.tsc(this.counter.retired) : value);
  }

  /** Through the guest's own mapping; what stands behind no memory, or in ROM, is lost as on a bus. */
  #write({ linear, bytes, isPhysical }: LinearWrite): void {
    for (let done = 0; done < bytes.length; ) {
      const at = (linear + done) % ADDRESS_SPACE;
      const size = Math.min(bytes.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      const physical = isPhysical ? at : this.#translate(at);
      if (physical !== undefined) {
        const bank = this.memory.bankOf(physical);
        if (bank?.kind === 'ram') {
          const view = this.memory.view(physical, size);
          view.set(bytes.subarray(done, done + view.length));
        }
        this.processor.drop(at, at + size);
        if (physical !== at) this.processor.drop(physical, physical + size);
        if (this.#tablePages.has(physical - (physical % PAGE_SIZE))) this.mappingChanged = true;
      }
      done += size;
    }
  }
}

/** Modes that no CPU here is in. */
function modeLimit(cpu: CpuState): Guest['limit'] {
  if ((cpu.control.cr0 & CR0_PE) === 0) return { limit: 'real-mode', detail: 'CR0.PE is 0' };
  return undefined;
}
