import { expect, it } from 'vitest';
import { REG_CR2, REG_GDTR, REG_GENERAL, REG_IDTR, REG_SEGMENT } from '../../emulator/unicorn/constants.ts';
import { describeEachEngine } from '../support/engines.ts';
import { Cpu } from './cpu.ts';

describeEachEngine('registers', engine => {
  it('has the numbers of x86.h: each register is changed by the instruction that names it', async () => {
    using cpu = new Cpu(await engine.load());
    // mov eax,1 … mov edi,8, with esp as the fifth
    const code = [0, 1, 2, 3, 4, 5, 6, 7].flatMap(n => [0xb8 + n, n + 1, 0, 0, 0x80]);
    cpu.run(code);
    const names = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
    expect(names.map(name => cpu.uc.readRegister(REG_GENERAL[name]))).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map(n => 0x80000000 + n),
    );
    // mov cr2,eax; lgdt and lidt of [0x8000], where limit 0x1234 and base 0x56789abc stand
    cpu.write(0x8000, 0x34, 0x12, 0xbc, 0x9a, 0x78, 0x56);
    cpu.run([0x0f, 0x22, 0xd0, 0x0f, 0x01, 0x15, 0, 0x80, 0, 0, 0x0f, 0x01, 0x1d, 0, 0x80, 0, 0]);
    expect(cpu.uc.readRegister(REG_CR2)).toBe(0x80000001);
    for (const table of [REG_GDTR, REG_IDTR]) {
      expect(cpu.uc.readTable(table)).toMatchObject({ base: 0x56789abc, limit: 0x1234 });
    }
  });

  it('quirk two-byte-registers: a selector comes without what the buffer held before', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.eax = 0xffffffff;
    expect(cpu.eax).toBe(0xffffffff);
    expect(cpu.uc.readRegister(REG_SEGMENT.ds)).toBe(0x68);
  });

  it('round-trips model-specific registers', async () => {
    using cpu = new Cpu(await engine.load());
    // IA32_SYSENTER_EIP
    cpu.uc.writeMsr(0x176, 0xfedcba98n);
    expect(cpu.uc.readMsr(0x176)).toBe(0xfedcba98n);
  });
});
