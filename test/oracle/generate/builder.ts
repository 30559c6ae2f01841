/** A case in the making: what every family starts from, and what it changes. */
import type { GeneralRegister, GeneralRegisters, Ring } from '../../../emulator/cpu-state.ts';
import type { PagingMode } from '../../../emulator/entry-state.ts';
import {
  CODE,
  codeSelector,
  DATA,
  dataSelector,
  END_VECTOR,
  FIRST_FREE,
  GDT,
  LAST_FREE,
  LDT,
  LDT_LIMIT,
  LDT_SELECTOR,
  type MemoryWrite,
  type Oracle,
  type OracleCase,
  STACK_TOP,
} from '../case.ts';
import { descriptorBytes, gateBytes, interrupt, type RawDescriptor } from './assemble.ts';
import type { Draw } from './draw.ts';

/** CF PF AF ZF SF DF OF. */
export const ARITHMETIC = 0x8d5;
export const FLAG_DF = 0x400;
export const FLAG_IF = 0x200;
export const FLAG_NT = 0x4000;
export const FLAG_AC = 0x40000;
export const FLAG_VM = 0x20000;
export const FLAG_ID = 0x200000;

/** CR0 bits of a case. */
export const CR0_MP = 0x2;
export const CR0_EM = 0x4;
export const CR0_TS = 0x8;
export const CR0_NE = 0x20;
export const CR0_WP = 0x10000;
export const CR0_AM = 0x40000;
/** CR4 bits of a case. */
export const CR4_VME = 0x1;
export const CR4_PVI = 0x2;
export const CR4_TSD = 0x4;
export const CR4_DE = 0x8;
export const CR4_PSE = 0x10;
export const CR4_PCE = 0x100;
export const CR4_OSFXSR = 0x200;
export const CR4_UMIP = 0x800;
/** IA32_EFER. */
export const EFER_NXE = 0x800;

const SEGMENTS = ['ds', 'es', 'fs', 'gs'] as const;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class CaseBuilder {
  topic: string;
  mode: OracleCase['mode'] = 'protected';
  ring: Ring;
  eflags: number;
  /** Where the code stands: linear. */
  at: number;
  eip: number | undefined;
  readonly registers: Mutable<GeneralRegisters>;
  readonly selectors: Mutable<OracleCase['selectors']>;
  cr0: number;
  cr4: number;
  efer = 0;
  paging: PagingMode;
  ldtr = 0;
  undefinedFlags = 0;
  without: readonly Oracle[] = [];
  readonly ignore = new Set<GeneralRegister>();
  readonly #slots = new Set<number>();
  readonly #code: number[] = [];
  readonly #writes: MemoryWrite[] = [];

  constructor(draw: Draw, topic: string) {
    this.topic = topic;
    // Over the end of a page now and then.
    this.at = draw.chance(85) ? CODE : CODE + 0x1000 - draw.int(1, 15);
    this.ring = draw.pick([0, 1, 2, 3, 3] as const);
    this.eflags = 2 | (draw.int(0, 3) << 12) | (draw.chance(50) ? FLAG_IF : 0) | (draw.dword() & 0x8d5);
    this.registers = {
      eax: draw.dword(),
      ecx: draw.dword(),
      edx: draw.dword(),
      ebx: DATA + 0x100 + draw.int(0, 0x3f) * 4,
      esp: STACK_TOP,
      ebp: STACK_TOP - 0x200,
      esi: DATA + 0x400 + draw.int(0, 0x3f),
      edi: DATA + 0x800 + draw.int(0, 0x3f),
    };
    const data = dataSelector(this.ring);
    this.selectors = { cs: codeSelector(this.ring), ss: data, ds: data, es: data, fs: data, gs: data };
    this.cr0 = (draw.chance(50) ? CR0_WP : 0) | (draw.chance(70) ? CR0_NE : 0);
    this.cr4 = (draw.chance(30) ? CR4_PSE : 0) | (draw.chance(30) ? CR4_DE : 0);
    this.paging = draw.pick(['off', 'off', 'off', '32-bit', 'pae'] as const);
  }

  /** The ring, and the selectors that go with it. */
  inRing(ring: Ring): this {
    this.ring = ring;
    const data = dataSelector(ring);
    Object.assign(this.selectors, {
      cs: codeSelector(ring),
      ss: data,
      ds: data,
      es: data,
      fs: data,
      gs: data,
    });
    return this;
  }

  get iopl(): number {
    return (this.eflags >>> 12) & 3;
  }

  withIopl(iopl: number): this {
    this.eflags = (this.eflags & ~0x3000) | (iopl << 12);
    return this;
  }

  emit(...bytes: number[]): this {
    this.#code.push(...bytes);
    return this;
  }

  /** Linear address of the next byte that is emitted. */
  get here(): number {
    return this.at + this.#code.length;
  }

  write(address: number, bytes: readonly number[]): this {
    this.#writes.push({ address, bytes: Uint8Array.from(bytes) });
    return this;
  }

  /** Writes a descriptor where `selector` points; the LDT is loaded when it is one of its own. */
  descriptor(selector: number, raw: RawDescriptor): this {
    return this.slot(selector, descriptorBytes(raw));
  }

  gate(selector: number, target: number, offset: number, access: number, parameters = 0): this {
    return this.slot(selector, gateBytes(target, offset, access, parameters));
  }

  slot(selector: number, bytes: readonly number[]): this {
    this.#slots.add(selector & 0xfffc);
    const local = (selector & 4) !== 0;
    if (local) this.ldtr = LDT_SELECTOR;
    return this.write((local ? LDT : GDT) + (selector & 0xfff8), bytes);
  }

  /** The selector, or that of the next slot in its table which the case has not written to. */
  unused(selector: number): number {
    let free = selector;
    while (this.#slots.has(free & 0xfffc)) {
      const isLast = (free & 0xfff8) === ((free & 4) !== 0 ? LDT_LIMIT - 7 : LAST_FREE);
      free = isLast ? (free & 7) | ((free & 4) !== 0 ? 0 : FIRST_FREE) : free + 8;
    }
    return free;
  }

  /** Values of data segment registers that have nothing to do with the case: null at times. */
  loosenSegments(draw: Draw): this {
    for (const name of SEGMENTS) if (draw.chance(10)) this.selectors[name] = 0;
    return this;
  }

  end(): OracleCase {
    this.emit(...interrupt(END_VECTOR));
    return this.build();
  }

  /** Without the `int` that ends a case. */
  build(): OracleCase {
    const { topic, mode, ring, eflags, at, registers, selectors, undefinedFlags } = this;
    const { cr0, cr4, efer, paging, ldtr } = this;
    return {
      topic,
      mode,
      ring,
      eflags: eflags >>> 0,
      eip: this.eip ?? at,
      registers: { ...registers },
      selectors: { ...selectors },
      cr0,
      cr4,
      efer,
      paging,
      ldtr,
      writes: [...this.#writes, { address: at, bytes: Uint8Array.from(this.#code) }],
      ignore: [...this.ignore],
      undefinedFlags,
      without: this.without,
    };
  }
}

/** One group of rules: `build` makes any of its cases. */
export interface Family {
  readonly name: string;
  /** How often, compared with the others. */
  readonly weight: number;
  readonly build: (draw: Draw) => OracleCase;
}
