/**
 * Guest: an EntryState put into an engine – memory, CPU, devices, and what is known about its code. It runs once from
 * its entry; a second pass takes a new one.
 */
import { BlockMap, sameBytes } from './blocks.ts';
import { createClock, createRandom } from './clock.ts';
import { InstructionCounter } from './counter.ts';
import { type CpuModel, findCpuModel } from './cpu-models.ts';
import type { CpuState } from './cpu-state.ts';
import type { EntryState } from './entry-state.ts';
import { FLAG_VM } from './flags.ts';
import { IdentityPaging } from './identity-paging.ts';
import { type Bank, PhysicalMemory } from './memory.ts';
import { CR0_PE, CR0_PG, EFER_NXE, pagingIsOn, walk } from './paging.ts';
import { PortBus } from './ports.ts';
import { MSR_EFER, MsrFile, type PrivilegeState, privilegeState, type Watch } from './sensitive/index.ts';
import type { EngineLimit } from './stop.ts';
import { COM1, Uart } from './uart.ts';
import type { Hook, UnicornLibrary } from './unicorn/api.ts';
import { Processor, type ProcessorEvents } from './unicorn/processor.ts';

const PAGE_SIZE = 4096;
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
  /** What decides about sensitive instructions now; kept up to date by {@link refresh}. */
  state: PrivilegeState;
  /** Set when the engine, or this program, cannot follow the guest any further. */
  limit: { readonly limit: EngineLimit; readonly detail: string } | undefined;
  /** A page table may have been written since the mapping was last looked at. */
  mappingChanged = false;
  /** Writes to page tables are noted and let through; else they end the run before them. */
  passTableWrites = true;
  readonly #ports: PortBus;
  readonly #paging: IdentityPaging | undefined;
  readonly #guarded: readonly { start: number; size: number }[];
  #tableHooks: Hook[] = [];
  /** Control registers, for translating code addresses without asking the CPU every time. */
  #control: CpuState['control'];

  /** Set by who runs the guest: a block is about to run, and true stops before it. */
  onBlock: ProcessorEvents['block'] = () => false;

  constructor(library: UnicornLibrary, entry: EntryState, options: GuestOptions) {
    this.entry = entry;
    const model = findCpuModel(entry.platform.cpuModel);
    if (!model) throw new RangeError(`there is no CPU model ${entry.platform.cpuModel}`);
    this.model = model;
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
    this.state = privilegeState(cpu);
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
    const state = privilegeState(cpu);
    if (state.key !== this.state.key && this.processor.watching === 'new') {
      // Translated blocks were looked at for another state.
      this.processor.forgetStopPoints();
      this.processor.dropAll();
    }
    this.state = state;
    this.limit ??= modeLimit(cpu);
    if (this.mappingChanged) this.#followMapping(cpu);
  }

  #followMapping(cpu: CpuState): void {
    this.mappingChanged = false;
    if (!this.#paging) return;
    const result = this.#paging.follow(cpu.control);
    for (const hook of this.#tableHooks) hook.remove();
    this.#tableHooks = [];
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

  /** Hands EFER on to the engine, as far as a 32-bit CPU has it. */
  writeEfer(value: bigint): void {
    this.processor.writeMsr(MSR_EFER, value & BigInt(EFER_NXE | 1));
  }
}

/** Modes in which an instruction's address is not what it is in flat protected mode. */
function modeLimit(cpu: CpuState): Guest['limit'] {
  const base = cpu.segments.cs.descriptor?.base ?? 0;
  if ((cpu.control.cr0 & CR0_PE) === 0) return { limit: 'real-mode', detail: 'CR0.PE is 0' };
  if ((cpu.eflags & FLAG_VM) !== 0) return { limit: 'virtual-8086', detail: 'EFLAGS.VM is 1' };
  if (base !== 0)
    return { limit: 'segment-base', detail: `CS has base 0x${base.toString(16).padStart(8, '0')}` };
  return undefined;
}

/** The registers of an entry state, as a CPU holds them. */
export function cpuStateOf(entry: EntryState): CpuState {
  const { registers: r, segments } = entry;
  return {
    registers: {
      eax: r.eax.value,
      ecx: r.ecx.value,
      edx: r.edx.value,
      ebx: r.ebx.value,
      esp: r.esp.value,
      ebp: r.ebp.value,
      esi: r.esi.value,
      edi: r.edi.value,
    },
    eip: entry.eip,
    eflags: entry.eflags,
    segments,
    ldtr: entry.ldtr,
    tr: entry.tr,
    gdtr: entry.gdtr,
    idtr: entry.idtr,
    control: entry.control,
    cpl: entry.ring,
  };
}

/** Consecutive pages as [begin, end) pairs, ascending. */
function pageRuns(pages: ReadonlySet<number>): [number, number][] {
  const runs: [number, number][] = [];
  for (const page of [...pages].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && last[1] === page) last[1] = page + PAGE_SIZE;
    else runs.push([page, page + PAGE_SIZE]);
  }
  return runs;
}
