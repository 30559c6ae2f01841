import { expect, it } from 'vitest';
import type { CpuState, Ring } from '../../emulator/cpu-state.ts';
import { type Descriptor, flatCode, flatData } from '../../emulator/segmentation.ts';
import {
  PROT_ALL,
  REG_CR2,
  REG_CR3,
  REG_EFLAGS,
  REG_GDTR,
  REG_SEGMENT,
} from '../../emulator/unicorn/constants.ts';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { enterCpuState, writeCr2 } from '../../emulator/unicorn/quirks/cpu-state.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, entryState, STACK } from './cpu.ts';

const CLI = 0xfa;
const HLT = 0xf4;

/** Selectors as lguest, Xen and the Linux boot protocol have them. */
const SELECTORS = [
  [0x60, 0x68],
  [0xe018, 0xe020],
  [0x10, 0x18],
] as const;

function paeTables(cpu: Cpu): void {
  for (let i = 0; i < 1024; i++) cpu.writeDword(0x20000 + i * 8, (i << 12) | 7);
  cpu.writeDword(0x22000, 0x20007);
  cpu.writeDword(0x22008, 0x21007);
  cpu.writeDword(0x23000, 0x22001);
}

const PAGING = {
  off: { cr0: 0x11, cr3: 0, cr4: 0 },
  '32-bit': { cr0: 0x80000011, cr3: 0x11000, cr4: 0 },
  pae: { cr0: 0x80000011, cr3: 0x23000, cr4: 0x20 },
} as const;

describeEachEngine('entering a CPU state', engine => {
  it('quirk ring-not-writable: SS cannot be written with another RPL than CPL', async () => {
    const library = await engine.load();
    const uc = library.open();
    const memory = library.allocate(0x1000);
    uc.map(0, 0x1000, PROT_ALL, memory, 0);
    // Data, DPL 1, at index 1.
    new DataView(memory.bytes().buffer, memory.bytes().byteOffset).setUint32(8, 0x0000ffff, true);
    new DataView(memory.bytes().buffer, memory.bytes().byteOffset).setUint32(12, 0x00cfb300, true);
    uc.writeTable(REG_GDTR, { selector: 0, base: 0, limit: 15, flags: 0 });
    expect(() => uc.writeRegister(REG_SEGMENT.ss, 9)).toThrow(EngineError);
    uc.close();
    memory.free();
  });

  for (const paging of ['off', '32-bit', 'pae'] as const) {
    for (const ring of [0, 1, 2, 3] as const) {
      it(`quirk ring-not-writable: enters ring ${ring} with paging ${paging}, every IOPL and selector`, async () => {
        using cpu = new Cpu(await engine.load(), { page: () => 7 });
        paeTables(cpu);
        for (const iopl of [0, 1, 2, 3]) {
          for (const [code, data] of SELECTORS) {
            const state = stateOf(ring, iopl, code, data, PAGING[paging]);
            cpu.enter(state);
            expect(cpu.state()).toEqual(state);
            // push eax; pop eax; cli: the stack is 32 bits wide, and cli needs CPL <= IOPL.
            cpu.run([0x50, 0x58, CLI]);
            expect([cpu.vector, cpu.eip]).toEqual(ring > iopl ? [13, CODE + 2] : [-1, CODE + 3]);
            cpu.latch.take();
            cpu.run([HLT]);
            expect(cpu.vector).toBe(ring > 0 ? 13 : -1);
            cpu.latch.take();
          }
        }
      });
    }
  }

  it('quirk hidden-segments: sets and reads any hidden part, without a GDT', async () => {
    using cpu = new Cpu(await engine.load());
    const odd: Descriptor = {
      ...flatData(0),
      base: 0x00123000,
      limit: 0x4567,
      granular: false,
      type: 1,
      available: true,
    };
    const state = entryState({ ds: odd, gs: { ...odd, base: 0xfedcb000, big: false } });
    cpu.enter(state);
    expect(cpu.state().segments).toEqual(state.segments);
    // mov eax,[0]: DS.base counts.
    cpu.writeDword(0x123000, 0xcafe);
    cpu.run([0xa1, 0, 0, 0, 0]);
    expect(cpu.eax).toBe(0xcafe);
  });

  it('quirk hidden-segments: sees what the guest loads, accessed bit and granularity included', async () => {
    using cpu = new Cpu(await engine.load());
    // Index 1: base 0x11223344, limit 0x55 pages, data, writable, not accessed, DPL 0, B, G.
    cpu.writeDword(0x5008, 0x33440055);
    cpu.writeDword(0x500c, 0x11c09222);
    cpu.uc.writeTable(REG_GDTR, { selector: 0, base: 0x5000, limit: 15, flags: 0 });
    cpu.eax = 8;
    cpu.run([0x8e, 0xc0]);
    expect(cpu.vector).toBe(-1);
    expect(cpu.state().segments.es).toEqual({
      selector: 8,
      descriptor: {
        base: 0x11223344,
        limit: 0x55fff,
        type: 3,
        codeOrData: true,
        dpl: 0,
        present: true,
        available: false,
        long: false,
        big: true,
        granular: true,
      },
    });
  });

  it('has a 16-bit stack pointer when SS is not big', async () => {
    using cpu = new Cpu(await engine.load());
    const state = entryState();
    const ss = { selector: 0x68, descriptor: { ...flatData(0), big: false } };
    cpu.enter({
      ...state,
      segments: { ...state.segments, ss },
      registers: { ...state.registers, esp: 0x20000 | STACK },
    });
    cpu.eax = 0x1234;
    cpu.run([0x50]);
    expect(cpu.readDword(STACK - 4)).toBe(0x1234);
  });

  it('quirk eflags-reserved-bit: bit 1 is always set', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.enter({ ...entryState(), eflags: 0 });
    expect(cpu.uc.readRegister(REG_EFLAGS)).toBe(2);
    expect(cpu.state().eflags).toBe(2);
  });

  it('keeps every defined EFLAGS bit below 16 that is asked for', async () => {
    using cpu = new Cpu(await engine.load(), { ring: 3 });
    const eflags = 0x7ed7;
    cpu.enter({ ...entryState({ ring: 3 }), eflags });
    expect(cpu.state().eflags).toBe(eflags);
  });

  it('quirk cr2-writes-cr3: CR2 is entered and written, and CR3 stays', async () => {
    const library = await engine.load();
    const bare = library.open();
    bare.writeRegister(REG_CR2, 0x1234);
    expect(bare.readRegister(REG_CR3)).toBe(engine.name === 'libunicorn' ? 0x1234 : 0);
    bare.close();
    using cpu = new Cpu(library);
    const state = entryState();
    const control = { ...state.control, cr2: 0x5678, cr3: 0x3000 };
    enterCpuState(cpu.uc, cpu.context, cpu.calibration, { ...state, control });
    expect([cpu.uc.readRegister(REG_CR2), cpu.uc.readRegister(REG_CR3)]).toEqual([0x5678, 0x3000]);
    writeCr2(cpu.uc, cpu.context, cpu.calibration, 0x9abc);
    expect([cpu.uc.readRegister(REG_CR2), cpu.uc.readRegister(REG_CR3)]).toEqual([0x9abc, 0x3000]);
  });

  it('quirk coprocessor-flags: CR0.TS and CR0.EM make FNINIT raise #NM', async () => {
    for (const [cr0, vectors] of [
      [0x11, []],
      [0x19, [7]],
      [0x15, [7]],
    ] as const) {
      using cpu = new Cpu(await engine.load(), { cr0 });
      const raised: number[] = [];
      cpu.uc.onInterrupt(vector => {
        raised.push(vector);
        cpu.uc.stop();
      });
      cpu.run([0xdb, 0xe3]);
      expect([cr0, raised]).toEqual([cr0, vectors]);
    }
  });

  it('refuses a state that the CPU does not take', async () => {
    using cpu = new Cpu(await engine.load());
    const state = entryState();
    // No such bit in EFER.
    expect(() => cpu.enter({ ...state, control: { ...state.control, efer: 4 } })).toThrow(
      'The CPU does not take the entry state: control.efer is 0x0, expected 0x4.',
    );
  });
});

function stateOf(
  ring: Ring,
  iopl: number,
  code: number,
  data: number,
  control: { readonly cr0: number; readonly cr3: number; readonly cr4: number },
): CpuState {
  const flat = { selector: data | ring, descriptor: flatData(ring) };
  const none = { selector: 0, descriptor: undefined };
  return {
    registers: {
      eax: 0x11111111,
      ecx: 0xdead0001,
      edx: 3,
      ebx: 4,
      esp: STACK,
      ebp: 0xffffffff,
      esi: 0x80000000,
      edi: 8,
    },
    eip: CODE,
    // ID bit aside, everything: CF PF AF ZF SF IF DF OF and IOPL.
    eflags: 0xed7 | (iopl << 12),
    segments: {
      es: flat,
      cs: { selector: code | ring, descriptor: flatCode(ring) },
      ss: flat,
      ds: flat,
      fs: none,
      gs: none,
    },
    ldtr: none,
    tr: none,
    gdtr: { base: 0, limit: 0 },
    idtr: { base: 0x7770, limit: 0x7ff },
    control: { ...control, cr2: 0, efer: 0 },
    cpl: ring,
  };
}
