import { expect, it } from 'vitest';
import { REG_CR2, REG_CR3 } from '../../emulator/unicorn/constants.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, NOWHERE } from './cpu.ts';

const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ALL = PRESENT | WRITABLE | USER;
const CR0_WP = 0x10000;

/** Page 0x300 is not there, 0x301 is read-only, 0x302 is the supervisor's. */
const page = (index: number): number =>
  index === 0x300 ? 0 : index === 0x301 ? PRESENT | USER : index === 0x302 ? PRESENT | WRITABLE : ALL;

/** inc eax, then an access to page + 0x34. */
const read = (index: number): number[] => [0x40, 0xa1, 0x34, (index & 0xf) << 4, index >> 4, 0];
const write = (index: number): number[] => [0x40, 0xa3, 0x34, (index & 0xf) << 4, index >> 4, 0];

describeEachEngine('page faults', engine => {
  const cases = [
    // SDM vol. 3, 4.7: P 1, W 2, U 4.
    { name: 'a read of a page that is not there', ring: 0, cr0: 0, code: read(0x300), errorCode: 0 },
    { name: 'a write to it', ring: 1, cr0: 0, code: write(0x300), errorCode: 2 },
    { name: 'a read of it in ring 3', ring: 3, cr0: 0, code: read(0x300), errorCode: 4 },
    {
      name: 'a write to a read-only page with CR0.WP',
      ring: 1,
      cr0: CR0_WP,
      code: write(0x301),
      errorCode: 3,
    },
    { name: 'a write to a read-only page in ring 3', ring: 3, cr0: 0, code: write(0x301), errorCode: 7 },
    { name: "a read of the supervisor's page in ring 3", ring: 3, cr0: 0, code: read(0x302), errorCode: 5 },
  ] as const;

  it.each(cases)('$name: vector, error code, CR2, EIP', async ({ ring, cr0, code, errorCode }) => {
    using cpu = new Cpu(await engine.load(), { ring, cr0, page });
    expect(cpu.run(code, NOWHERE)).toBe(0);
    expect(cpu.vector).toBe(14);
    expect(cpu.latch.take()).toBe(errorCode);
    expect(cpu.eip).toBe(CODE + 1);
    expect(cpu.uc.readRegister(REG_CR2)).toBe(((code[3] ?? 0) << 8) | ((code[4] ?? 0) << 16) | 0x34);
  });

  it('lets ring 1 write a read-only page without CR0.WP, and use the pages of the supervisor', async () => {
    using cpu = new Cpu(await engine.load(), { ring: 1, page });
    cpu.run(write(0x301));
    expect(cpu.vector).toBe(-1);
    cpu.run(write(0x302));
    expect(cpu.vector).toBe(-1);
  });

  it('finds EIP at the target of a jump to a page that is not there', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    // mov eax,0x300010; jmp eax
    cpu.run([0xb8, 0x10, 0, 0x30, 0, 0xff, 0xe0], NOWHERE);
    expect([cpu.vector, cpu.eip, cpu.uc.readRegister(REG_CR2)]).toEqual([14, 0x300010, 0x300010]);
  });

  it('faults in the middle of a repeated move with ECX as far as it came', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    // mov edi,0x2ffff8; mov ecx,5; rep movsd
    cpu.run([0xbf, 0xf8, 0xff, 0x2f, 0, 0xb9, 5, 0, 0, 0, 0xf3, 0xa5], NOWHERE);
    expect([cpu.vector, cpu.eip, cpu.ecx]).toEqual([14, CODE + 10, 3]);
  });

  it('quirk native-drop-faults: CR2 and the next fault are as if no code had been dropped', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    // A run that ends at hlt and not at its end address, and a drop of code: neither page is mapped.
    cpu.run([0x40, 0xf4], NOWHERE - 0xfff);
    cpu.uc.dropTranslated(0x300010, 0x300020);
    expect(cpu.uc.readRegister(REG_CR2)).toBe(0);
    cpu.run(read(0x300), 0x300800);
    expect([cpu.vector, cpu.uc.readRegister(REG_CR2)]).toEqual([14, 0x300034]);
  });

  it('quirk identity-paging: goes to the physical page that the table names, or to physical = linear', async () => {
    const library = await engine.load();
    using cpu = new Cpu(library, { page });
    // Linear 0x200000 is physical 0x300000.
    cpu.writeDword(0x10000 + 0x200 * 4, 0x300000 | ALL);
    cpu.uc.writeRegister(REG_CR3, 0x11000);
    cpu.writeDword(0x200000, 0x1d);
    cpu.writeDword(0x300000, 0x7ab1e);
    cpu.run([0xa1, 0, 0, 0x20, 0]);
    expect(cpu.eax).toBe(library.capabilities.paging === 'full' ? 0x7ab1e : 0x1d);
    expect(library.capabilities.paging).toBe(engine.name === 'libunicorn' ? 'full' : 'identity');
  });

  it('sets the accessed and dirty bits of the guest', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    cpu.run(write(0x200));
    expect(cpu.readDword(0x10000 + 0x200 * 4) & 0x60).toBe(0x60);
  });
});
