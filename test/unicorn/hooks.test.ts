import { expect, it } from 'vitest';
import type { BlockEdge } from '../../emulator/unicorn/api.ts';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, DATA, hex, NOWHERE } from './cpu.ts';

/** inc eax; jmp CODE+0x10 | inc ecx; jmp CODE+0x20 | nop */
function threeBlocks(cpu: Cpu): number {
  cpu.write(CODE, 0x40, 0xeb, 0x0d);
  cpu.write(CODE + 0x10, 0x41, 0xeb, 0x0d);
  cpu.write(CODE + 0x20, 0x90, 0xeb, 0x0d);
  return CODE + 0x30;
}

describeEachEngine('hooks', engine => {
  it('gives the port, size and value of in and out, and takes the value of in', async () => {
    using cpu = new Cpu(await engine.load());
    const seen: string[] = [];
    cpu.uc.onPortRead((port, size) => {
      seen.push(`in ${port} ${size}`);
      return 0xfeed;
    });
    cpu.uc.onPortWrite((port, size, value) => seen.push(`out ${port} ${size} ${hex(value)}`));
    // in al,0x60; mov dx,0x3f8; out dx,eax; in ax,dx
    cpu.run([0xe4, 0x60, 0x66, 0xba, 0xf8, 0x03, 0xef, 0x66, 0xed]);
    expect(seen).toEqual(['in 96 1', 'out 1016 4 0xed', 'in 1016 2']);
    expect(cpu.eax).toBe(0xfeed);
  });

  it('calls a memory hook inside its range only, with EIP at the instruction', async () => {
    using cpu = new Cpu(await engine.load());
    const seen: string[] = [];
    cpu.uc.onMemoryWrite(DATA, DATA + 3, access =>
      seen.push(`${hex(access.address)}/${access.size}=${hex(access.value)} at ${hex(cpu.eip)}`),
    );
    // inc eax; mov [DATA],eax; mov [DATA+4],eax; mov al,[DATA]
    cpu.run([0x40, 0xa3, 0, 0x80, 0, 0, 0xa3, 4, 0x80, 0, 0, 0xa0, 0, 0x80, 0, 0]);
    expect(seen).toEqual(['0x8000/4=0x1 at 0x1001']);
  });

  it('does not call a hook that was removed', async () => {
    using cpu = new Cpu(await engine.load());
    let calls = 0;
    const hook = cpu.uc.onBlock(() => {
      calls++;
    });
    cpu.run([0x40]);
    hook.remove();
    cpu.run([0x41]);
    expect(calls).toBe(1);
  });

  it('quirk code-hook-corrupts: offers a code hook only where it is exact', async () => {
    const library = await engine.load();
    using cpu = new Cpu(library);
    const seen: string[] = [];
    const install = (): unknown =>
      cpu.uc.onCode(CODE + 2, CODE + 2, address => {
        seen.push(`${hex(address)} eip ${hex(cpu.eip)} eax ${hex(cpu.eax)} flags ${hex(cpu.eflags & 0x8d5)}`);
      });
    expect(library.capabilities.exactCodeHook).toBe(engine.name === 'libunicorn');
    if (!library.capabilities.exactCodeHook) {
      expect(install).toThrow(EngineError);
      return;
    }
    install();
    // xor eax,eax; dec eax; inc ecx: the hook is on the second.
    cpu.run([0x31, 0xc0, 0x48, 0x41]);
    expect(seen).toEqual(['0x1002 eip 0x1002 eax 0x0 flags 0x44']);
    expect([cpu.eax, cpu.ecx]).toEqual([0xffffffff, 1]);
  });

  it('a code hook that comes later stops exactly, once its block is dropped, every time', async ctx => {
    const library = await engine.load();
    if (!library.capabilities.exactCodeHook) ctx.skip('this engine has no exact code hook');
    using cpu = new Cpu(library);
    const end = threeBlocks(cpu);
    cpu.go(CODE, end);
    cpu.uc.onCode(CODE + 0x11, CODE + 0x11, () => cpu.uc.stop());
    cpu.uc.dropTranslated(CODE + 0x10, CODE + 0x13);
    for (let i = 0; i < 3; i++) {
      cpu.ecx = 0;
      cpu.go(CODE, end);
      expect([cpu.eip, cpu.ecx]).toEqual([CODE + 0x11, 1]);
    }
    // It is called for the first instruction of a run, too.
    cpu.go(CODE + 0x11, end);
    expect(cpu.eip).toBe(CODE + 0x11);
  });

  it('quirk native-edge-first: each new block is announced once, and the very first never', async ctx => {
    const library = await engine.load();
    if (!library.capabilities.edgeHook) {
      using cpu = new Cpu(library);
      expect(() => cpu.uc.onNewBlock(() => {})).toThrow(EngineError);
      ctx.skip('this engine has no hook for new blocks');
    }
    const uc = library.open();
    const memory = library.allocate(0x2000);
    uc.map(0, 0x2000, 7, memory, 0);
    memory.bytes().set([0x40, 0xeb, 0x0d], 0x1000);
    memory.bytes().set([0x41, 0xeb, 0x0d], 0x1010);
    const seen: [BlockEdge, BlockEdge][] = [];
    uc.onNewBlock((current, previous) => seen.push([current, previous]));
    uc.start(CODE, CODE + 0x13, 0);
    const edge = (pc: number): BlockEdge => ({ pc, instructions: 2, size: 3 });
    expect(seen[0]).toEqual([edge(CODE + 0x10), edge(CODE)]);
    expect(seen.some(([current]) => current.pc === CODE)).toBe(false);
    const before = seen.length;
    uc.start(CODE, CODE + 0x11, 0);
    expect(seen.slice(before).every(([current]) => current.pc > CODE)).toBe(true);
    uc.close();
    memory.free();
  });

  it('a stop in the hook for new blocks comes before the block runs; a dropped block is new again', async ctx => {
    const library = await engine.load();
    if (!library.capabilities.edgeHook) ctx.skip('this engine has no hook for new blocks');
    using cpu = new Cpu(library);
    const end = threeBlocks(cpu);
    cpu.go(CODE, end);
    const hook = cpu.uc.onNewBlock(current => {
      if (current.pc === CODE + 0x10) cpu.uc.stop();
    });
    cpu.uc.dropTranslated(CODE + 0x10, CODE + 0x13);
    cpu.ecx = 0;
    cpu.go(CODE, end);
    expect([cpu.eip, cpu.ecx]).toEqual([CODE + 0x10, 0]);
    hook.remove();
    cpu.go(CODE + 0x10, end);
    expect([cpu.eip, cpu.ecx]).toEqual([end, 1]);
  });

  it('quirk native-register-in-callback: a hook may be added inside a callback', async ctx => {
    const library = await engine.load();
    if (!library.capabilities.edgeHook) ctx.skip('this engine has no code hook to add');
    using cpu = new Cpu(library);
    const end = threeBlocks(cpu);
    let added = false;
    cpu.uc.onNewBlock(current => {
      if (current.pc !== CODE + 0x10 || added) return;
      added = true;
      cpu.uc.onCode(CODE + 0x11, CODE + 0x11, () => cpu.uc.stop());
      cpu.uc.dropTranslated(CODE + 0x10, CODE + 0x13);
      cpu.uc.stop();
    });
    cpu.go(CODE, end);
    expect(cpu.eip).toBe(CODE + 0x10);
    cpu.go(CODE + 0x10, end);
    expect([cpu.eip, cpu.ecx]).toEqual([CODE + 0x11, 1]);
  });

  it('quirk native-drop-by-write: dropTranslated makes code that the host wrote count', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.run([0x40]);
    cpu.write(CODE, 0x41);
    cpu.uc.dropTranslated(CODE, CODE + 1);
    cpu.go(CODE, CODE + 1);
    expect([cpu.eax, cpu.ecx]).toEqual([1, 1]);
    cpu.write(CODE, 0x40);
    cpu.uc.dropTranslated(0, 2 ** 32);
    cpu.go(CODE, CODE + 1);
    expect([cpu.eax, cpu.ecx]).toEqual([2, 1]);
  });

  it('sees code that the guest writes', async () => {
    using cpu = new Cpu(await engine.load());
    const end = threeBlocks(cpu);
    cpu.go(CODE, end);
    // mov byte [CODE+0x20],0x43 (inc ebx); jmp CODE+0x10
    cpu.run([0xc6, 5, 0x20, 0x10, 0, 0, 0x43, 0xeb, 0x07], end);
    expect(cpu.state().registers.ebx).toBe(1);
  });

  it('stops in the interrupt hook', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.run([0xcd, 0x1f, 0x40], NOWHERE);
    expect([cpu.vector, cpu.eip, cpu.eax]).toEqual([0x1f, CODE + 2, 0]);
  });
});
