/** What the run loop has to work around: the bare symptom, on the CPU alone. The remedies are tested in test/emulator. */
import { expect, it } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import { REG_CR2, UC_ERR_INSN_INVALID, UC_ERR_OK } from '../../emulator/unicorn/constants.ts';
import { describeEachEngine } from '../support/engines.ts';
import { guestEntry, MEMORY, mapping } from '../support/guest.ts';
import { CODE, Cpu, NOWHERE, STACK } from './cpu.ts';

/** xor %eax,%eax; sub $1,%eax: EFLAGS is 0x97 (CF PF AF SF, and bit 1). */
const SET_FLAGS = [0x31, 0xc0, 0x83, 0xe8, 0x01];
const FLAGS = 0x97;
/** Page 0x302 and page 3 are not there. */
const page = (index: number): number => (index === 0x302 || index === 3 ? 0 : 7);
const FUNCTION = 0x2000;
const call = (at: number): number[] => [0xe8, (FUNCTION - at - 5) & 0xff, (FUNCTION - at - 5) >> 8, 0, 0];

const CODE_PAGE = 0x1000;

describeEachEngine('the run loop of the bare engine', engine => {
  it('quirk stale-code: after the first write to a page of code, translations of the rest of it stay', async () => {
    using cpu = new Cpu(await engine.load());
    // jmp .; mov $1,%eax; ret: two blocks. It is overwritten by the same with $9, byte by byte.
    cpu.write(FUNCTION, 0xeb, 0, 0xb8, 1, 0, 0, 0, 0xc3);
    cpu.write(0x3000, 0xeb, 0, 0xb8, 9, 0, 0, 0, 0xc3);
    const copy = [0xbe, 0, 0x30, 0, 0, 0xbf, 0, 0x20, 0, 0, 0xb9, 8, 0, 0, 0, 0xf3, 0xa4];
    const first = [...call(CODE), ...copy];
    cpu.run([...first, ...call(CODE + first.length)]);
    expect(cpu.eax).toBe(engine.name === 'libunicorn' ? 1 : 9);
  });

  it('quirk self-modifying-block: a block that writes to itself is announced again from within', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.watchBlocks();
    // movb $7,1f+1; 1: mov $1,%eax
    cpu.run([0xc6, 0x05, 8, 0x10, 0, 0, 7, 0xb8, 1, 0, 0, 0]);
    expect(cpu.takeBlocks()).toEqual(['0x1000+12', '0x1000+7', '0x1007+5']);
    expect(cpu.eax).toBe(7);
  });

  it('quirk div-flags: EFLAGS is not up to date after #DE', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.run([...SET_FLAGS, 0xf7, 0xf1]);
    expect([cpu.vector, cpu.eip]).toEqual([0, CODE + 5]);
    expect(cpu.eflags).toBe(engine.name === 'libunicorn' ? FLAGS : 0x03);
  });

  it('quirk registers-before-fault: RCL in memory that faults leaves EFLAGS wrong', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    // rcl $1,0x302000
    cpu.run([...SET_FLAGS, 0xd1, 0x15, 0, 0x20, 0x30, 0]);
    expect([cpu.vector, cpu.eip]).toEqual([14, CODE + 5]);
    expect(cpu.eflags).not.toBe(FLAGS);
  });

  it('quirk registers-before-fault: LEAVE has set ESP when it faults', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    // mov $0x302000,%ebp; leave
    cpu.run([0xbd, 0, 0x20, 0x30, 0, 0xc9, 0x90]);
    expect([cpu.vector, cpu.eip]).toEqual([14, CODE + 5]);
    const { esp } = cpu.state().registers;
    expect(esp).toBe(engine.name === 'libunicorn' ? STACK : 0x302000);
  });

  it('quirk no-wrap: an access that crosses 4 GiB goes on at 0', async () => {
    // The last page of linear memory is page 5; mov 0xfffffffe,%eax; mov %eax,0xfffffffd
    const entry = guestEntry({
      code: 'a1 fe ff ff ff a3 fd ff ff ff f4',
      paging: '32-bit',
      mappings: [mapping(0, 0, MEMORY), mapping(0xfffff000, 0x5000, 0x1000)],
      contents: { 0: '33 44 55', 24573: '00 11 22' },
    });
    using machine = Machine.open(await engine.load(), entry);
    expect(machine.run()).toMatchObject({ kind: 'halt', cpu: { registers: { eax: 0x44332211 } } });
    expect([...machine.readMemory(0xfffffffd, 3), ...machine.readMemory(0, 3)]).toEqual([
      0x11, 0x22, 0x33, 0x44, 0x44, 0x55,
    ]);
  });

  it('quirk fetch-ahead: a block that runs into a page that is not there faults before its first instruction', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    // inc %eax; mov $...,%ebx, which crosses into page 3
    cpu.write(0x2ffc, 0x40, 0xbb, 1, 0);
    cpu.go(0x2ffc, NOWHERE);
    expect([cpu.vector, cpu.uc.readRegister(REG_CR2), cpu.eip, cpu.eax]).toEqual([14, 0x3000, 0x2ffc, 0]);
  });

  it('quirk refused-before-tables: memory that is not there is refused before the page tables are asked', async () => {
    using cpu = new Cpu(await engine.load(), { page });
    // Page 0x500 is neither mapped nor is there memory.
    cpu.run([0x40, 0xa3, 0, 0, 0x50, 0]);
    expect([cpu.vector, cpu.invalidAccesses.length]).toEqual(
      engine.name === 'libunicorn' ? [14, 0] : [-1, 1],
    );
  });

  it('quirk write-hook-flags: a run that a write hook ends is before the write, with EFLAGS lost', async () => {
    using cpu = new Cpu(await engine.load());
    const hook = cpu.uc.onMemoryWrite(0x9800, 0x9803, () => cpu.uc.stop());
    cpu.run([...SET_FLAGS, 0xa3, 0, 0x98, 0, 0, 0x43]);
    hook.remove();
    expect(cpu.eip).toBe(CODE + 5);
    expect(cpu.eflags).not.toBe(FLAGS);
  });

  it('quirk late-exceptions: int n is seen after the instruction, ud2 and hlt by no interrupt hook at all', async () => {
    using cpu = new Cpu(await engine.load());
    expect([cpu.run([0x40, 0xcd, 0x80]), cpu.vector, cpu.eip]).toEqual([UC_ERR_OK, 0x80, CODE + 3]);
    expect([cpu.run([0x40, 0x0f, 0x0b]), cpu.vector, cpu.eip]).toEqual([UC_ERR_INSN_INVALID, -1, CODE + 1]);
    expect([cpu.run([0x40, 0xf4, 0x40]), cpu.vector, cpu.eip]).toEqual([UC_ERR_OK, -1, CODE + 2]);
  });

  it('quirk port-callback-eip: EIP is the start of the block in the callback of IN', async () => {
    using cpu = new Cpu(await engine.load());
    const seen: number[] = [];
    cpu.uc.onPortRead(() => {
      seen.push(cpu.eip);
      return 0;
    });
    cpu.run([0x43, 0x43, 0xe4, 0x60]);
    expect(seen).toEqual([CODE]);
  });

  it('quirk runs-what-it-has-not: VZEROUPPER without AVX, and SYSCALL, run', async () => {
    using cpu = new Cpu(await engine.load());
    expect(cpu.run([0xc5, 0xf8, 0x77, 0x40])).toBe(UC_ERR_OK);
    expect(cpu.run([0x0f, 0x05, 0x40])).toBe(UC_ERR_OK);
    expect(cpu.eax).toBe(2);
  });

  it('quirk osfxsr: SSE is invalid without CR4.OSFXSR, and valid with it, whatever CR4 was before', async () => {
    for (const [cr4, error] of [
      [0, UC_ERR_INSN_INVALID],
      [0x20, UC_ERR_INSN_INVALID],
      [0x200, UC_ERR_OK],
    ] as const) {
      using cpu = new Cpu(await engine.load(), { cr4 });
      // xorps %xmm0,%xmm0
      expect([cr4, cpu.run([0x0f, 0x57, 0xc0])]).toEqual([cr4, error]);
    }
  });

  it('quirk stale-eip: in the hook of a chained block EIP may be that of an earlier one', async () => {
    using cpu = new Cpu(await engine.load());
    // 1: inc %eax; jmp 2f; 2: cmp $40,%eax; jb 1b; mov $1,%ebx: three blocks, two of them in a loop.
    const code = [0x40, 0xeb, 0x00, 0x83, 0xf8, 0x28, 0x72, 0xf8, 0xbb, 1, 0, 0, 0];
    let stale = 0;
    cpu.uc.onBlock(address => {
      if (cpu.eip !== address) stale++;
    });
    cpu.run(code);
    expect(cpu.eax).toBe(40);
    if (engine.name === 'libunicorn') expect(stale).toBeGreaterThan(0);
    else expect(stale).toBe(0);
  });

  it('quirk until-fetches: a page that the guest may not fetch from faults at its first byte', async () => {
    // The page of the code is the supervisor's; mov $1,%eax; cpuid, before which the run comes back.
    const entry = guestEntry({
      code: 'b8 01 00 00 00 0f a2',
      ring: 3,
      paging: '32-bit',
      mappings: [
        { ...mapping(0, 0, CODE_PAGE), user: true },
        { ...mapping(CODE_PAGE, CODE_PAGE, 0x1000), user: false },
        mapping(CODE_PAGE + 0x1000, CODE_PAGE + 0x1000, MEMORY - CODE_PAGE - 0x1000),
      ],
    });
    using machine = Machine.open(await engine.load(), entry);
    expect(machine.run()).toMatchObject({
      kind: 'page-fault',
      access: 'fetch',
      address: CODE_PAGE,
      exception: { vector: 14, errorCode: 5 },
    });
  });
});
