/**
 * A ring-0 entry state run by the engine alone: memory, registers and the port hooks without which a kernel waits for
 * its UART for ever. Nothing is detected and nothing is counted; it is what detection and counting are compared with.
 */
import { GENERAL_REGISTERS, type GeneralRegisters } from '../../emulator/cpu-state.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { type Bank, PhysicalMemory } from '../../emulator/memory.ts';
import { PortBus } from '../../emulator/ports.ts';
import { COM1, Uart } from '../../emulator/uart.ts';
import type { Unicorn, UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { PROT_ALL, REG_EFLAGS, REG_EIP, REG_GENERAL } from '../../emulator/unicorn/constants.ts';

export interface Visit {
  readonly address: number;
  /** In bytes. */
  readonly size: number;
  /** Milliseconds since the start of the run. */
  readonly at: number;
}

/** How often the clock is read while every block is seen. */
const BLOCKS_PER_LOOK = 4096;

export class BareMachine {
  readonly #unicorn: Unicorn;
  readonly #memory: PhysicalMemory;
  readonly #entry: EntryState;
  readonly #edgeHook: boolean;

  /** @param entry in ring 0 without paging and with flat segments, as a new CPU of the engine has them */
  constructor(library: UnicornLibrary, entry: EntryState) {
    this.#entry = entry;
    this.#edgeHook = library.capabilities.edgeHook;
    this.#unicorn = library.open();
    this.#memory = new PhysicalMemory(
      entry.banks.map((bank): Bank => ({ ...bank, memory: library.allocate(bank.size) })),
    );
    this.#memory.load(entry);
    for (const { start, size, memory } of this.#memory.banks)
      this.#unicorn.map(start, size, PROT_ALL, memory, 0);
    for (const name of GENERAL_REGISTERS)
      this.#unicorn.writeRegister(REG_GENERAL[name], entry.registers[name].value);
    this.#unicorn.writeRegister(REG_EFLAGS, entry.eflags);
    const ports = new PortBus([new Uart(COM1, () => {})]);
    this.#unicorn.onPortRead((port, size) => ports.read(port, size));
    this.#unicorn.onPortWrite((port, size, value) => ports.write(port, size, value));
  }

  /** Runs from the entry until the instruction at `until`; returns the registers there. */
  run(until: number): GeneralRegisters {
    const error = this.#unicorn.start(this.#entry.eip, until, 0);
    if (error !== 0) throw new Error(`bare run ends with uc_err ${error}`);
    const eip = this.#unicorn.readRegister(REG_EIP);
    if (eip !== until)
      throw new Error(`bare run ends at 0x${eip.toString(16)}, not at 0x${until.toString(16)}`);
    return this.registers();
  }

  registers(): GeneralRegisters {
    const read = (name: (typeof GENERAL_REGISTERS)[number]) => [
      name,
      this.#unicorn.readRegister(REG_GENERAL[name]),
    ];
    return Object.fromEntries(GENERAL_REGISTERS.map(read)) as GeneralRegisters;
  }

  /**
   * Block starts in the order of first visits, within the first `milliseconds` of a run. A block that starts inside one
   * that was seen before it is left out: straight-line code had come there already.
   */
  firstVisits(milliseconds: number): Visit[] {
    const seen = new Map<number, Visit>();
    const began = performance.now();
    const visit = (address: number, size: number) => {
      if (!seen.has(address)) seen.set(address, { address, size, at: performance.now() - began });
    };
    if (this.#edgeHook) {
      this.#unicorn.onNewBlock(({ pc, size }) => visit(pc, size));
    } else {
      let blocks = 0;
      this.#unicorn.onBlock((address, size) => {
        visit(address, size);
        if (++blocks % BLOCKS_PER_LOOK === 0 && performance.now() - began > milliseconds)
          this.#unicorn.stop();
      });
    }
    this.#unicorn.start(this.#entry.eip, 0, milliseconds * 1000);
    const visits = [...seen.values()];
    return visits.filter(
      ({ address }, index) =>
        !visits.slice(0, index).some(({ address: start, size }) => address > start && address < start + size),
    );
  }

  /** Blocks that the engine runs from the entry until the instruction at `until`. */
  countBlocks(until: number): number {
    let blocks = 0;
    this.#unicorn.onBlock(() => {
      blocks++;
    });
    this.run(until);
    return blocks;
  }

  close(): void {
    this.#unicorn.close();
    this.#memory.free();
  }
}
