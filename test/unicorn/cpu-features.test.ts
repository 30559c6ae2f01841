import { expect, it } from 'vitest';
import { MSR_EFER } from '../../emulator/msrs.ts';
import { REG_CR0, UC_ERR_INSN_INVALID, UC_ERR_OK } from '../../emulator/unicorn/constants.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu } from './cpu.ts';

const VALID: Record<string, number[]> = {
  cmove: [0x0f, 0x44, 0xc1],
  'movdqa (SSE2)': [0x66, 0x0f, 0x6f, 0xc1],
  'haddps (SSE3)': [0xf2, 0x0f, 0x7c, 0xc1],
  cmpxchg8b: [0x0f, 0xc7, 0x0d, 0, 0x70, 0, 0],
  fxsave: [0x0f, 0xae, 5, 0, 0x70, 0, 0],
};

const INVALID: Record<string, number[]> = {
  'pshufb (SSSE3)': [0x66, 0x0f, 0x38, 0, 0xc1],
  'ptest (SSE4.1)': [0x66, 0x0f, 0x38, 0x17, 0xc1],
  'crc32 (SSE4.2)': [0xf2, 0x0f, 0x38, 0xf1, 0xc1],
  popcnt: [0xf3, 0x0f, 0xb8, 0xc1],
  'aesenc (AES)': [0x66, 0x0f, 0x38, 0xdc, 0xc1],
  'andn (BMI1)': [0xc4, 0xe2, 0x70, 0xf2, 0xc1],
  'pfadd (3DNow!)': [0x0f, 0x0f, 0xc1, 0x9e],
  rdtscp: [0x0f, 0x01, 0xf9],
  rdrand: [0x0f, 0xc7, 0xf0],
  rdseed: [0x0f, 0xc7, 0xf8],
  xgetbv: [0x0f, 0x01, 0xd0],
  vmcall: [0x0f, 0x01, 0xc1],
  vmmcall: [0x0f, 0x01, 0xd9],
  'stac (SMAP)': [0x0f, 0x01, 0xcb],
};

describeEachEngine('the CPU model', engine => {
  it.each(Object.entries(VALID))('quirk cpu-features: %s runs', async (_name, code) => {
    using cpu = new Cpu(await engine.load(), { cr4: 0x600 });
    expect([cpu.run(code), cpu.vector, cpu.eip]).toEqual([UC_ERR_OK, -1, CODE + code.length]);
  });

  it.each(Object.entries(INVALID))('quirk cpu-features: %s is invalid', async (_name, code) => {
    using cpu = new Cpu(await engine.load(), { cr4: 0x600 });
    expect([cpu.run(code), cpu.eip]).toEqual([UC_ERR_INSN_INVALID, CODE]);
  });

  it('quirk cpu-features: EFER has SCE, LME and NXE', async () => {
    using cpu = new Cpu(await engine.load());
    for (const bits of [0x1n, 0x100n, 0x800n]) {
      cpu.uc.writeMsr(MSR_EFER, bits);
      expect(cpu.uc.readMsr(MSR_EFER)).toBe(bits);
    }
  });

  it('goes into long mode by wrmsr EFER.LME and mov cr0', async () => {
    using cpu = new Cpu(await engine.load(), { cr4: 0x20 });
    // PML4, PDPT and a 2 MiB page.
    cpu.writeDword(0x20000, 0x21007);
    cpu.writeDword(0x21000, 0x22007);
    cpu.writeDword(0x22000, 0x87);
    // mov eax,0x20000; mov cr3,eax; mov ecx,0xc0000080; mov eax,0x100; xor edx,edx; wrmsr;
    // mov eax,cr0; or eax,0x80000000; mov cr0,eax
    cpu.run([
      ...[
        0xb8, 0, 0, 2, 0, 0x0f, 0x22, 0xd8, 0xb9, 0x80, 0, 0, 0xc0, 0xb8, 0, 1, 0, 0, 0x31, 0xd2, 0x0f, 0x30,
      ],
      ...[0x0f, 0x20, 0xc0, 0x0d, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc0],
    ]);
    expect(cpu.vector).toBe(-1);
    expect(cpu.uc.readRegister(REG_CR0)).toBe(0x80000011);
    // LMA follows.
    expect(cpu.uc.readMsr(MSR_EFER)).toBe(0x500n);
  });
});
