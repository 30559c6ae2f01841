/** A bare CPU with some memory from address 0, flat segments and a code page, for one fact at a time. */
import type { CpuState, Ring } from '../../emulator/cpu-state.ts';
import { type Descriptor, flatCode, flatData, type SegmentRegister } from '../../emulator/segmentation.ts';
import type {
  ContextBlob,
  HostMemory,
  MemoryAccess,
  Unicorn,
  UnicornLibrary,
} from '../../emulator/unicorn/api.ts';
import { PROT_ALL, REG_EFLAGS, REG_EIP, REG_GENERAL } from '../../emulator/unicorn/constants.ts';
import { type Calibration, calibrate } from '../../emulator/unicorn/quirks/calibration.ts';
import { enterCpuState, readCpuState } from '../../emulator/unicorn/quirks/cpu-state.ts';
import { ExceptionLatch } from '../../emulator/unicorn/quirks/exceptions.ts';

export const CODE = 0x1000;
export const DATA = 0x8000;
export const STACK = 0x9000;
/** No instruction is here: a run until it ends by something else. */
export const NOWHERE = 0xffffffff;
const PAGE_TABLE = 0x10000;
const PAGE_DIRECTORY = 0x11000;
const MEMORY = 0x400000;

export const hex = (value: number): string => `0x${value.toString(16)}`;

export interface Options {
  readonly ring?: Ring;
  readonly iopl?: number;
  /** 32-bit paging, 1:1 over 4 MiB; flags of each page table entry (P 1, W 2, U 4), 0 for none. */
  readonly page?: (index: number) => number;
  readonly cr4?: number;
  readonly cr0?: number;
  readonly gs?: Descriptor;
  readonly ds?: Descriptor;
}

export function entryState(options: Options = {}): CpuState {
  const ring = options.ring ?? 0;
  const data = (descriptor?: Descriptor): SegmentRegister => ({
    selector: 0x68 | ring,
    descriptor: descriptor ?? flatData(ring),
  });
  const none: SegmentRegister = { selector: 0, descriptor: undefined };
  return {
    registers: { eax: 0, ecx: 0, edx: 0, ebx: 0, esp: STACK, ebp: 0, esi: 0, edi: 0 },
    eip: CODE,
    eflags: 2 | ((options.iopl ?? 0) << 12),
    segments: {
      es: data(),
      cs: { selector: 0x60 | ring, descriptor: flatCode(ring) },
      ss: data(),
      ds: data(options.ds),
      fs: none,
      gs: options.gs ? data(options.gs) : none,
    },
    ldtr: none,
    tr: none,
    gdtr: { base: 0, limit: 0 },
    idtr: { base: 0, limit: 0 },
    control: {
      cr0: ((options.page ? 0x80000011 : 0x11) | (options.cr0 ?? 0)) >>> 0,
      cr2: 0,
      cr3: options.page ? PAGE_DIRECTORY : 0,
      cr4: options.cr4 ?? 0,
      efer: 0,
    },
    cpl: ring,
  };
}

export class Cpu {
  readonly uc: Unicorn;
  readonly memory: HostMemory;
  readonly calibration: Calibration;
  readonly context: ContextBlob;
  readonly latch: ExceptionLatch;
  readonly invalidAccesses: MemoryAccess[] = [];
  readonly blocks: string[] = [];
  vector = -1;

  constructor(library: UnicornLibrary, options: Options = {}) {
    this.uc = library.open();
    this.memory = library.allocate(MEMORY);
    this.uc.map(0, MEMORY, PROT_ALL, this.memory, 0);
    this.calibration = calibrate(library);
    this.context = this.uc.contextAlloc();
    const { page } = options;
    if (page) {
      for (let i = 0; i < 1024; i++) {
        this.writeDword(PAGE_TABLE + i * 4, page(i) === 0 ? 0 : (i << 12) | page(i));
      }
      this.writeDword(PAGE_DIRECTORY, PAGE_TABLE | 7);
    }
    this.enter(entryState(options));
    this.latch = new ExceptionLatch(this.uc, this.calibration);
    this.uc.onInterrupt(vector => {
      this.vector = vector;
      this.uc.stop();
    });
    this.uc.onInvalidMemory(access => {
      this.invalidAccesses.push(access);
      return false;
    });
  }

  [Symbol.dispose](): void {
    this.latch.free();
    this.context.free();
    this.uc.close();
    this.memory.free();
  }

  enter(state: CpuState): void {
    enterCpuState(this.uc, this.context, this.calibration, state);
  }

  state(): CpuState {
    return readCpuState(this.uc, this.context, this.calibration);
  }

  write(address: number, ...bytes: number[]): void {
    this.memory.bytes().set(bytes, address);
  }

  writeDword(address: number, value: number): void {
    const bytes = this.memory.bytes();
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(address, value, true);
  }

  readDword(address: number): number {
    const bytes = this.memory.bytes();
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(address, true);
  }

  /** Puts code at CODE and runs it to its end (or `until`). */
  run(code: readonly number[], until = CODE + code.length): number {
    this.write(CODE, ...code);
    // The engine does not see what its host writes.
    this.uc.dropTranslated(CODE, CODE + code.length);
    return this.go(CODE, until);
  }

  go(begin: number, until: number): number {
    this.vector = -1;
    return this.uc.start(begin, until, 0);
  }

  /** Notes every block as `0xADDRESS+SIZE`; a run of more than `limit` blocks is stopped. */
  watchBlocks(limit = 50): void {
    this.uc.onBlock((address, size) => {
      this.blocks.push(`${hex(address)}+${size}`);
      if (this.blocks.length >= limit) this.uc.stop();
    });
  }

  takeBlocks(): string[] {
    return this.blocks.splice(0);
  }

  get eip(): number {
    return this.uc.readRegister(REG_EIP);
  }

  get eflags(): number {
    return this.uc.readRegister(REG_EFLAGS);
  }

  get eax(): number {
    return this.uc.readRegister(REG_GENERAL.eax);
  }

  set eax(value: number) {
    this.uc.writeRegister(REG_GENERAL.eax, value);
  }

  get ecx(): number {
    return this.uc.readRegister(REG_GENERAL.ecx);
  }

  set ecx(value: number) {
    this.uc.writeRegister(REG_GENERAL.ecx, value);
  }
}
