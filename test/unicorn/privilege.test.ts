import { expect, it } from 'vitest';
import type { Ring } from '../../emulator/cpu-state.ts';
import { flatData } from '../../emulator/segmentation.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, DATA } from './cpu.ts';

const PRIVILEGED: Record<string, number[]> = {
  hlt: [0xf4],
  lgdt: [0x0f, 0x01, 0x15, 0, 0x80, 0, 0],
  lidt: [0x0f, 0x01, 0x1d, 0, 0x80, 0, 0],
  lldt: [0x0f, 0x00, 0xd0],
  ltr: [0x0f, 0x00, 0xd8],
  lmsw: [0x0f, 0x01, 0xf0],
  'mov eax,cr0': [0x0f, 0x20, 0xc0],
  'mov cr3,eax': [0x0f, 0x22, 0xd8],
  'mov dr7,eax': [0x0f, 0x23, 0xf8],
  clts: [0x0f, 0x06],
  invlpg: [0x0f, 0x01, 0x3d, 0, 0x80, 0, 0],
  wbinvd: [0x0f, 0x09],
  rdmsr: [0x0f, 0x32],
  wrmsr: [0x0f, 0x30],
};

const SILENT: Record<string, number[]> = {
  sgdt: [0x0f, 0x01, 0x05, 0, 0x80, 0, 0],
  sidt: [0x0f, 0x01, 0x0d, 0, 0x80, 0, 0],
  sldt: [0x0f, 0x00, 0xc0],
  str: [0x0f, 0x00, 0xc8],
  smsw: [0x0f, 0x01, 0xe0],
  cpuid: [0x0f, 0xa2],
  rdtsc: [0x0f, 0x31],
  'push cs': [0x0e],
  pushf: [0x9c],
};

describeEachEngine('privilege', engine => {
  for (const ring of [1, 3] as const satisfies readonly Ring[]) {
    it.each(Object.entries(PRIVILEGED))(
      `in ring ${ring} %s raises #GP(0) at the instruction`,
      async (_, code) => {
        using cpu = new Cpu(await engine.load(), { ring, iopl: 3 });
        cpu.run([0x41, ...code]);
        expect([cpu.vector, cpu.latch.take(), cpu.eip]).toEqual([13, 0, CODE + 1]);
      },
    );

    it.each(Object.entries(SILENT))(`in ring ${ring} %s runs`, async (_, code) => {
      using cpu = new Cpu(await engine.load(), { ring });
      cpu.run([0x41, ...code]);
      expect([cpu.vector, cpu.eip]).toEqual([-1, CODE + 1 + code.length]);
    });
  }

  it('popf in ring 1 keeps IF and IOPL, silently', async () => {
    using cpu = new Cpu(await engine.load(), { ring: 1 });
    // push 0x3202; popf
    cpu.run([0x68, 0x02, 0x32, 0, 0, 0x9d]);
    expect([cpu.vector, cpu.eflags & 0x3200]).toEqual([-1, 0]);
  });

  it('quirk io-never-faults: in and out run in ring 3 with IOPL 0', async () => {
    using cpu = new Cpu(await engine.load(), { ring: 3 });
    const ports: number[] = [];
    cpu.uc.onPortRead(port => ports.push(port));
    cpu.uc.onPortWrite(port => ports.push(port));
    cpu.run([0xe4, 0x60, 0xe6, 0x61]);
    expect([cpu.vector, ports]).toEqual([-1, [0x60, 0x61]]);
  });

  it('quirk sysenter-never-faults: sysenter runs with SYSENTER_CS = 0', async () => {
    using cpu = new Cpu(await engine.load(), { ring: 3 });
    cpu.watchBlocks(2);
    cpu.run([0x0f, 0x34], 0);
    expect(cpu.vector).not.toBe(13);
  });

  it('quirk segments-not-checked: accesses through a null segment and beyond a limit succeed', async () => {
    using cpu = new Cpu(await engine.load(), { ds: { ...flatData(0), limit: 0xf, granular: false } });
    cpu.writeDword(DATA, 0x600d);
    // mov eax,gs:[DATA] with GS null, then mov ecx,[DATA] beyond the limit of DS
    cpu.run([0x65, 0xa1, 0, 0x80, 0, 0, 0x8b, 0x0d, 0, 0x80, 0, 0]);
    expect([cpu.vector, cpu.eax, cpu.ecx]).toEqual([-1, 0x600d, 0x600d]);
  });

  it('quirk invalid-opcode-forms: only libunicorn knows a far call of a register, and lock inc, for #UD', async () => {
    const library = await engine.load();
    const errorOf = (code: number[]): number => {
      using cpu = new Cpu(library);
      return cpu.run([0x40, ...code]);
    };
    const known = engine.name === 'libunicorn';
    for (const code of [
      [0xff, 0xd8],
      [0xf0, 0x40],
    ]) {
      expect(errorOf(code) === 10).toBe(known);
    }
    expect(errorOf([0x0f, 0xff])).toBe(10);
  });
});
