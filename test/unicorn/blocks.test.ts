import { expect, it } from 'vitest';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, DATA, hex } from './cpu.ts';

/** add [DATA],eax */
const ADD = [0x01, 0x05, DATA & 0xff, DATA >> 8, 0, 0];

describeEachEngine('block hooks', engine => {
  it('quirk block-full: however long a straight line is, its blocks are announced without a gap', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.watchBlocks(1000);
    const lengths = [3, 50, 400];
    for (const count of lengths) {
      const code = [...Array(count).fill(ADD).flat(), 0xeb, 0x10];
      cpu.eax = 1;
      cpu.writeDword(DATA, 0);
      cpu.run(code, CODE + code.length + 0x10);
      expect(cpu.readDword(DATA)).toBe(count);
      let next = CODE;
      for (const block of cpu.takeBlocks()) {
        const [address, size] = block.split('+');
        expect(address).toBe(hex(next));
        expect(Number(size)).toBeGreaterThan(0);
        next += Number(size);
      }
      expect(next).toBe(CODE + code.length);
    }
  });

  it('quirk block-full: a cut block reports the same size when it is reached by a direct jump', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.watchBlocks(1000);
    // mov ecx,3; L: 50 x add; dec ecx; jnz L
    const body = Array(50).fill(ADD).flat();
    const code = [0xb9, 3, 0, 0, 0, ...body, 0x49, 0x0f, 0x85, 0, 0, 0, 0];
    const back = -(body.length + 1 + 6);
    code.splice(code.length - 4, 4, back & 0xff, (back >> 8) & 0xff, 0xff, 0xff);
    cpu.run(code);
    const blocks = cpu.takeBlocks();
    const sizes = new Map<string, Set<string>>();
    for (const block of blocks) {
      const [address = '', size = ''] = block.split('+');
      sizes.set(address, (sizes.get(address) ?? new Set()).add(size));
    }
    expect([...sizes.values()].every(set => set.size === 1 && !set.has('0'))).toBe(true);
  });

  it('quirk stale-exit: each run announces its first block once', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.watchBlocks();
    for (let i = 0; i < 3; i++) {
      cpu.run([0x40, 0xeb, 0x10], CODE + 0x13);
      expect(cpu.takeBlocks()).toEqual(['0x1000+3']);
    }
  });

  it('stops before the block whose hook asks for it, registers in sync', async () => {
    using cpu = new Cpu(await engine.load());
    const hook = cpu.uc.onBlock(address => {
      if (address === CODE + 0x13) cpu.uc.stop();
    });
    cpu.write(CODE + 0x13, 0x40, 0x40, 0xeb, 0xfe);
    expect(cpu.run([0x40, 0xeb, 0x10], 0xffffffff)).toBe(0);
    expect([cpu.eip, cpu.eax]).toEqual([CODE + 0x13, 1]);
    hook.remove();
    cpu.go(CODE + 0x13, CODE + 0x15);
    expect([cpu.eip, cpu.eax]).toEqual([CODE + 0x15, 3]);
  });

  it('announces a repeated string instruction once for each iteration', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.watchBlocks();
    // mov ecx,3; rep movsb
    cpu.run([0xb9, 3, 0, 0, 0, 0xf3, 0xa4]);
    expect(cpu.takeBlocks()).toEqual(['0x1000+7', '0x1005+2', '0x1005+2', '0x1005+2'].slice(0, 4));
    expect(cpu.ecx).toBe(0);
  });

  it('ends a block after sti, mov ss and popf, and not after cpuid, in or out', async () => {
    const firstBlock = async (code: number[]): Promise<string | undefined> => {
      using cpu = new Cpu(await engine.load());
      cpu.watchBlocks();
      cpu.run([...code, 0x90, 0xeb, 0x00]);
      return cpu.takeBlocks()[0];
    };
    expect(await firstBlock([0xfb])).toBe('0x1000+1');
    expect(await firstBlock([0x6a, 2, 0x9d])).toBe('0x1000+3');
    expect(await firstBlock([0x0f, 0xa2])).toBe('0x1000+5');
    expect(await firstBlock([0xe4, 0x60])).toBe('0x1000+5');
    expect(await firstBlock([0xe6, 0x60])).toBe('0x1000+5');
  });
});
