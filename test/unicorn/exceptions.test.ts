import { expect, it } from 'vitest';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, DATA, NOWHERE } from './cpu.ts';

const MOV_DS_AX = [0x8e, 0xd8];
const GENERAL_PROTECTION = 13;

describeEachEngine('exceptions', engine => {
  it('quirk old-exception: without the latch a second #GP is a double fault, and the third is silent', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.eax = 0x1230;
    const vectors = [1, 2, 3].map(() => {
      cpu.run(MOV_DS_AX);
      return cpu.vector;
    });
    expect(vectors).toEqual([GENERAL_PROTECTION, 8, -1]);
  });

  it('quirk old-exception: with the latch every #GP is a #GP', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.eax = 0x1230;
    for (let i = 0; i < 4; i++) {
      cpu.run(MOV_DS_AX);
      expect(cpu.vector).toBe(GENERAL_PROTECTION);
      cpu.latch.take();
    }
  });

  it('quirk error-code: the latch gives the selector that #GP pushes', async () => {
    using cpu = new Cpu(await engine.load());
    for (const [selector, errorCode] of [
      [0x1230, 0x1230],
      [0x5679, 0x5678],
      [0x0ffc, 0x0ffc],
    ] as const) {
      cpu.eax = selector;
      cpu.run(MOV_DS_AX);
      expect(cpu.latch.take()).toBe(errorCode);
    }
  });

  it('finds EIP at the instruction after a fault, and after it for int n and int3', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.run([0x40, 0xf7, 0xf1]);
    expect([cpu.vector, cpu.eip]).toEqual([0, CODE + 1]);
    cpu.latch.take();
    cpu.run([0x40, 0xcc]);
    expect([cpu.vector, cpu.eip]).toEqual([3, CODE + 2]);
    cpu.run([0x40, 0xcd, 0x82]);
    expect([cpu.vector, cpu.eip]).toEqual([0x82, CODE + 3]);
  });

  it('keeps arithmetic flags and registers exact at a fault', async () => {
    // xor eax,eax; sub eax,1: CF PF AF SF; then cli in ring 1, or a write to a page that is not there
    for (const fault of [[0xfa], [0xa3, 0, 0, 0x30, 0]]) {
      using cpu = new Cpu(await engine.load(), { ring: 1, page: index => (index === 0x300 ? 0 : 7) });
      cpu.run([0x31, 0xc0, 0x83, 0xe8, 0x01, ...fault]);
      expect([cpu.eip, cpu.eax, cpu.eflags & 0x8d5]).toEqual([CODE + 5, 0xffffffff, 0x95]);
      expect(cpu.vector).toBe(fault.length === 1 ? 13 : 14);
    }
  });

  it('returns UC_ERR_INSN_INVALID for ud2, without the interrupt hook', async () => {
    using cpu = new Cpu(await engine.load());
    expect(cpu.run([0x40, 0x0f, 0x0b])).toBe(10);
    expect([cpu.vector, cpu.eip]).toEqual([-1, CODE + 1]);
  });

  it('ends hlt at CPL 0 with OK and EIP behind it, and can go on', async () => {
    using cpu = new Cpu(await engine.load());
    expect(cpu.run([0x40, 0xf4, 0x40], NOWHERE)).toBe(0);
    expect([cpu.vector, cpu.eip, cpu.eax]).toEqual([-1, CODE + 2, 1]);
    expect(cpu.go(CODE + 2, CODE + 3)).toBe(0);
    expect([cpu.eip, cpu.eax]).toEqual([CODE + 3, 2]);
  });

  it('throws what a callback throws, when the run is over', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.uc.onPortWrite(() => {
      throw new TypeError('from the callback');
    });
    expect(() => cpu.run([0xe6, 0x10, 0xa3, DATA & 0xff, DATA >> 8, 0, 0])).toThrow(TypeError);
    expect(cpu.run([0x40])).toBe(0);
  });
});
