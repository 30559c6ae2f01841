import { expect, it } from 'vitest';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, DATA, STACK } from './cpu.ts';

/** inc eax four times, jmp to CODE + 0x16, where inc ecx; jmp CODE stands. */
const LOOP = [0x40, 0x40, 0x40, 0x40, 0xeb, 0x10];
const BACK = CODE + 0x16;

describeEachEngine('a run until an address', engine => {
  it('quirk native-until: stops there in code that was translated without it, and never later', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.write(BACK, 0x41, 0xeb, 0xe7);
    cpu.run(LOOP, BACK);
    cpu.watchBlocks(10);
    for (const until of [CODE + 2, BACK, CODE + 3, CODE + 1, BACK]) {
      cpu.eax = 0;
      cpu.ecx = 0;
      expect(cpu.go(CODE, until)).toBe(0);
      expect([cpu.eip, cpu.eax, cpu.ecx]).toEqual([until, Math.min(until - CODE, 4), 0]);
      cpu.takeBlocks();
    }
    // From an old end on, and past the others.
    cpu.eax = 0;
    cpu.go(CODE + 3, BACK + 1);
    expect([cpu.eip, cpu.eax, cpu.ecx]).toEqual([BACK + 1, 1, 1]);
  });

  it('runs nothing when it begins there', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.write(CODE, ...LOOP);
    expect(cpu.go(CODE + 1, CODE + 1)).toBe(0);
    expect([cpu.eip, cpu.eax]).toEqual([CODE + 1, 0]);
  });

  it('quirk native-until: announces no block at the end address', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.watchBlocks(10);
    cpu.write(BACK, 0x41, 0xeb, 0xe7);
    cpu.run(LOOP, BACK);
    expect(cpu.takeBlocks()).toEqual(['0x1000+6']);
  });

  it('steps over any one instruction', async () => {
    const steps: number[][][] = [
      [[0x68, 0x02, 0, 0, 0], [0x9d], [0x90]],
      [[0xfb], [0x40], [0x40]],
      [[0xb9, 5, 0, 0, 0], [0xf3, 0xa4], [0x40]],
      [[0xe4, 0x60], [0xe6, 0x61], [0x40]],
      [
        [0x31, 0xc0],
        [0x0f, 0xa2],
        [0x0f, 0x31],
      ],
      [[0x0f, 0x20, 0xc0], [0x0f, 0x22, 0xc0], [0x40]],
      [[0x9c], [0x58], [0x40]],
    ];
    for (const instructions of steps) {
      using cpu = new Cpu(await engine.load());
      cpu.write(CODE, ...instructions.flat());
      let pc = CODE;
      for (const { length } of instructions) {
        expect(cpu.go(pc, pc + length)).toBe(0);
        pc += length;
        expect([cpu.vector, cpu.eip]).toEqual([-1, pc]);
      }
    }
  });

  it('comes back with EIP and EFLAGS in sync', async () => {
    using cpu = new Cpu(await engine.load());
    // xor eax,eax; sub eax,1; mov [DATA],eax
    cpu.run([0x31, 0xc0, 0x83, 0xe8, 0x01, 0xa3, DATA & 0xff, DATA >> 8, 0, 0], CODE + 5);
    expect([cpu.eip, cpu.eflags & 0x8d5, cpu.readDword(DATA)]).toEqual([CODE + 5, 0x95, 0]);
    expect(STACK).toBe(cpu.state().registers.esp);
  });

  it('ends after a time limit', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.watchBlocks(Infinity);
    cpu.write(CODE, 0x40, 0xeb, 0xfd);
    cpu.uc.start(CODE, 0xffffffff, 20_000);
    expect(cpu.eax).toBeGreaterThan(0);
  });
});
