/**
 * Trace: the way of a run, as events that do not depend on how an engine cuts code into blocks.
 *
 * Straight-line code is one event, from where control came to it to where control left it (a conditional branch that is
 * not taken leaves it too); a repeated string instruction counts once; what the Machine did in place of the CPU is an
 * event of its own, and so is the Stop. The same run gives the same events on every engine, counted or not.
 */
import type { GeneralRegister } from './cpu-state.ts';
import { linearEip } from './cpu-state.ts';
import type { Stop, StopKind } from './stop.ts';

export type TraceEvent =
  /** `instructions` retired in a straight line from `start` (linear). */
  | { readonly type: 'run'; readonly start: number; readonly instructions: number }
  /** The Machine did the instruction at `address` (CPUID, RDTSC ...): the registers that it set. */
  | {
      readonly type: 'answer';
      readonly address: number;
      readonly registers: Readonly<Partial<Record<GeneralRegister, number>>>;
    }
  /** The end of the run; `instructions` retired since the entry. */
  | {
      readonly type: 'stop';
      readonly kind: StopKind;
      readonly address: number;
      readonly instructions: number;
    };

export type TraceSink = (event: TraceEvent) => void;

const hex = (value: number): string => value.toString(16).padStart(8, '0');

/** One line of ASCII, without the newline. Numbers of instructions are decimal, the rest is hexadecimal. */
export function formatTraceEvent(event: TraceEvent): string {
  switch (event.type) {
    case 'run':
      return `run ${hex(event.start)} ${event.instructions}`;
    case 'answer': {
      const registers = Object.entries(event.registers).map(([name, value]) => ` ${name}=${hex(value)}`);
      return `answer ${hex(event.address)}${registers.join('')}`;
    }
    case 'stop':
      return `stop ${hex(event.address)} ${event.kind} ${event.instructions}`;
  }
}

/** FNV-1a with 64 bits: Fowler, Noll, Vo; RFC 9923. The prime is 2^40 + 0x1b3. */
const OFFSET_BASIS = { high: 0xcbf29ce4, low: 0x84222325 };
const PRIME_LOW = 0x1b3;
const NEWLINE = 0x0a;

/** Text goes in, code unit by code unit: for ASCII, byte by byte. */
export class Fnv1a64 {
  #high = OFFSET_BASIS.high;
  #low = OFFSET_BASIS.low;

  add(text: string): void {
    for (let i = 0; i < text.length; i++) this.addByte(text.charCodeAt(i));
  }

  addByte(byte: number): void {
    const low = (this.#low ^ byte) >>> 0;
    const product = low * PRIME_LOW;
    const carry = Math.floor(product / 2 ** 32);
    // The prime's upper part moves the low half up by 40 bits: 8 bits into the high half.
    this.#high = (Math.imul(this.#high, PRIME_LOW) + carry + (low << 8)) >>> 0;
    this.#low = product >>> 0;
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

export interface TraceHash {
  add(event: TraceEvent): void;
  /** FNV-1a (64 bits) of the events' lines, each with its newline: 16 hexadecimal digits. */
  digest(): string;
}

/** A running hash over the events: equal for equal traces, and what FNV-1a makes of the trace as a file. */
export function createTraceHash(): TraceHash {
  const hash = new Fnv1a64();
  return {
    add(event) {
      hash.add(formatTraceEvent(event));
      hash.addByte(NEWLINE);
    },
    digest: () => hash.digest(),
  };
}

/** Where a run begins: what passes over it again must not show what was before. */
export interface TraceStart {
  readonly retired: number;
  readonly address: number;
}

/**
 * Makes the events of one run. A run may take several passes over the same instructions; the sink gets every event once,
 * as soon as the first pass comes to it.
 */
export class Tracer {
  readonly #sink: TraceSink;
  readonly #from: TraceStart;
  /** Straight-line code that has not ended. */
  #current: TraceStart;
  /** Events that the sink has got, in all passes; and that this pass has made. */
  #sent = 0;
  #made = 0;
  /** Of what was sent, and of what this pass has made as far as it was sent before. */
  #sentHash = createTraceHash();
  #madeHash = createTraceHash();

  constructor(sink: TraceSink, from: TraceStart) {
    this.#sink = sink;
    this.#from = from;
    this.#current = from;
  }

  /** The next pass begins, from the entry. */
  restart(): void {
    this.#made = 0;
    this.#madeHash = createTraceHash();
    this.#current = this.#from;
  }

  /** Control comes to `address`, not in a straight line, with so many instructions retired. */
  enter(address: number, retired: number): void {
    if (retired < this.#from.retired) return;
    this.#end(retired);
    this.#current = { retired, address };
  }

  /** The Machine does the instruction at `address`. */
  answer(
    address: number,
    registers: Readonly<Partial<Record<GeneralRegister, number>>>,
    retired: number,
  ): void {
    if (retired >= this.#from.retired) this.#make({ type: 'answer', address, registers });
  }

  stop(stop: Stop, retired: number): void {
    this.#end(retired);
    this.#current = { retired, address: linearEip(stop.cpu) };
    this.#make({ type: 'stop', kind: stop.kind, address: linearEip(stop.cpu), instructions: retired });
  }

  #end(retired: number): void {
    const { address, retired: before } = this.#current;
    if (retired > before) this.#make({ type: 'run', start: address, instructions: retired - before });
  }

  /** @throws {Error} when a pass does not repeat the one before it: this program is wrong then */
  #make(event: TraceEvent): void {
    this.#made++;
    if (this.#made > this.#sent) {
      this.#sent++;
      this.#sentHash.add(event);
      this.#madeHash.add(event);
      this.#sink(event);
      return;
    }
    this.#madeHash.add(event);
    if (this.#made === this.#sent && this.#madeHash.digest() !== this.#sentHash.digest()) {
      throw new Error('a second pass over the run went another way than the first');
    }
  }
}
