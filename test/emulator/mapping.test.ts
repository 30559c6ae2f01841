/** Page tables, page boundaries, segments: where code and data are, as the guest has arranged it. */
import { expect, it } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, DATA, guestEntry, MEMORY, mapping, TABLES } from '../support/guest.ts';

describeEachEngine('blocks and pages', engine => {
  it('a block longer than a page counts every instruction', async () => {
    // 6000 times inc %eax; hlt
    const code = new Uint8Array(6001).fill(0x40);
    code[6000] = 0xf4;
    const entry = guestEntry({ code, at: 0x10010, registers: { eax: 0 } });
    using machine = Machine.open(await engine.load(), entry);
    expect(machine.run({ until: 0x10010 + 5000 })).toMatchObject({ kind: 'reached', instructions: 5000 });
    expect(machine.run({ instructions: 5500 })).toMatchObject({
      kind: 'budget',
      cpu: { eip: 0x10010 + 5500 },
    });
    expect(machine.run()).toMatchObject({
      kind: 'halt',
      instructions: 6000,
      cpu: { registers: { eax: 6000 } },
      trail: [0x10010],
    });
  });

  it('a fetch that crosses into a page that is not present faults at the boundary', async () => {
    // inc %eax; mov $...,%ebx, of which two bytes are on the next page
    const entry = guestEntry({
      code: '40 bb 01 00 00 00',
      at: 0x1ffc,
      paging: '32-bit',
      mappings: [mapping(0, 0, 0x2000), mapping(0x3000, 0x3000, MEMORY - 0x3000)],
    });
    using machine = Machine.open(await engine.load(), entry);
    const stop = machine.run();
    expect(stop).toMatchObject({
      kind: 'page-fault',
      access: 'fetch',
      address: 0x2000,
      exception: { vector: 14, errorCode: 0 },
      instructions: 1,
    });
    expect([stop.cpu.eip, stop.cpu.control.cr2]).toEqual([0x1ffd, 0x2000]);
  });

  it.each([
    {
      name: 'off the end of memory',
      code: '40 40 40 40',
      at: 0xffffc,
      paging: 'off',
      kind: 'memory-hole',
      eip: 0x100000,
    },
    {
      name: 'into the end of memory',
      code: '40 40 bb 01',
      at: 0xffffc,
      paging: 'off',
      kind: 'memory-hole',
      eip: 0xffffe,
    },
    {
      name: 'off the last page',
      code: '40 40 40 40',
      at: 0x1ffc,
      paging: '32-bit',
      kind: 'page-fault',
      eip: 0x2000,
    },
    {
      name: 'into a page that is not present',
      code: '40 40 bb 01',
      at: 0x1ffc,
      paging: 'pae',
      kind: 'page-fault',
      eip: 0x1ffe,
    },
  ] as const)('code that runs $name has run up to there', async ({ code, at, paging, kind, eip }) => {
    const mappings = [mapping(0, 0, 0x2000), mapping(0x8000, 0x8000, 0x8000)];
    using machine = Machine.open(
      await engine.load(),
      guestEntry({ code, at, paging, mappings, registers: { eax: 0 } }),
    );
    const stop = machine.run();
    const retired = Math.min(eip - at, 4);
    expect(stop).toMatchObject({
      kind,
      access: 'fetch',
      address: (at + 0xfff) & 0xfffff000,
      instructions: retired,
    });
    expect([stop.cpu.eip, stop.cpu.registers.eax]).toEqual([eip, retired]);
  });

  it('a block runs on from one page to another', async () => {
    // inc %eax; mov $0x04030201,%ebx; hlt
    const entry = guestEntry({
      code: '40 bb 01 02 03 04 f4',
      at: 0x1ffc,
      paging: 'pae',
      registers: { eax: 0 },
    });
    using machine = Machine.open(await engine.load(), entry);
    expect(machine.run()).toMatchObject({
      kind: 'halt',
      instructions: 2,
      cpu: { eip: 0x2002, registers: { eax: 1, ebx: 0x04030201 } },
    });
  });
});

describeEachEngine('a mapping that is not 1:1', engine => {
  const HIGH = 0xc0000000;
  for (const paging of ['32-bit', 'pae'] as const) {
    it(`of high addresses is followed (${paging})`, async () => {
      const code = `
        a1 10 90 00 c0      # mov HIGH+DATA+0x10,%eax
        ba 0d 10 00 c0      # mov $1f+HIGH,%edx
        ff e2               # jmp *%edx
        90                  # nop
        c7 05 00 91 00 c0 05 00 00 00  # 1: movl $5,HIGH+DATA+0x100
        f4                  # hlt
      `;
      const mappings = [mapping(0, 0, MEMORY), mapping(HIGH, 0, MEMORY)];
      using machine = Machine.open(await engine.load(), guestEntry({ code, paging, mappings }));
      const stop = machine.run();
      expect(stop).toMatchObject({ kind: 'halt', instructions: 4, cpu: { eip: HIGH + CODE + 23 } });
      expect(stop.cpu.registers.eax).toBe(0x13121110);
      expect(machine.readMemory(DATA + 0x100, 4)).toEqual(Uint8Array.of(5, 0, 0, 0));
      expect(machine.readMemory(HIGH + DATA + 0x100, 4)).toEqual(Uint8Array.of(5, 0, 0, 0));
    });

    it(`of addresses with other memory behind them is followed, or it is said that it cannot be (${paging})`, async () => {
      // mov 0x5010,%eax; hlt: 0x5000 is DATA
      const mappings = [
        mapping(0, 0, 0x5000),
        mapping(0x5000, DATA, 0x1000),
        mapping(0x6000, 0x6000, 0x10000),
      ];
      const library = await engine.load();
      using machine = Machine.open(library, guestEntry({ code: 'a1 10 50 00 00 f4', paging, mappings }));
      const stop = machine.run();
      if (library.capabilities.paging === 'full') {
        expect(stop).toMatchObject({ kind: 'halt', cpu: { registers: { eax: 0x13121110 } } });
      } else {
        expect(stop).toMatchObject({ kind: 'engine-limit', limit: 'paging-not-identity', instructions: 0 });
      }
    });
  }

  it('is noticed when the guest makes it by itself', async () => {
    const code = `
      a1 00 00 04 00      # mov PD[0],%eax
      a3 00 0c 04 00      # mov %eax,PD[0x300]
      a1 10 90 00 c0      # mov 0xc0000000+DATA+0x10,%eax
      c7 05 00 0c 04 00 00 00 00 00  # movl $0,PD[0x300]
      0f 20 da            # mov %cr3,%edx
      0f 22 da            # mov %edx,%cr3
      8b 1d 10 90 00 c0   # mov 0xc0000000+DATA+0x10,%ebx
    `;
    expect(TABLES).toBe(0x40000);
    using machine = Machine.open(await engine.load(), guestEntry({ code, paging: '32-bit' }));
    expect(machine.run()).toMatchObject({
      kind: 'page-fault',
      address: HIGH + DATA + 0x10,
      instructions: 6,
      cpu: { registers: { eax: 0x13121110 } },
    });
  });
});

describeEachEngine('segments', engine => {
  it("the loader's guarded GDT can be used by the CPU", async () => {
    const code = `
      b8 20 00 00 00      # mov $0x20,%eax
      8e e0               # mov %eax,%fs
      ea 0e 10 00 00 08 00 # ljmp $8,$1f
      64 a1 10 90 00 00   # 1: mov %fs:DATA+0x10,%eax
      64 8b 1d 00 a0 00 00 # mov %fs:0xa000,%ebx: beyond the limit of 0x9fff
    `;
    using machine = Machine.open(await engine.load(), guestEntry({ code }));
    const stop = machine.run();
    expect(stop).toMatchObject({
      kind: 'segment-access',
      register: 'fs',
      selector: 0x20,
      problem: 'limit',
      offset: 0xa000,
      instructions: 4,
    });
    expect([stop.cpu.eip, stop.cpu.registers.eax]).toEqual([CODE + 20, 0x13121110]);
  });

  it('DS that is null faults at the first access, wherever in a block that is', async () => {
    // xor %eax,%eax; mov %eax,%ds; inc %eax; push %eax; mov DATA,%ebx
    using machine = Machine.open(
      await engine.load(),
      guestEntry({ code: '31 c0 8e d8 40 50 8b 1d 00 90 00 00' }),
    );
    const stop = machine.run();
    expect(stop).toMatchObject({ kind: 'segment-access', register: 'ds', problem: 'null', instructions: 4 });
    expect(stop.cpu.eip).toBe(CODE + 6);
  });

  it('16-bit code is decoded as such', async () => {
    const code = `
      ea 07 10 00 00 18 00 # ljmp $0x18,$1f
      b8 34 12            # 1: mov $0x1234,%ax
      66 b9 78 56 34 12   # mov $0x12345678,%ecx
      fa                  # cli
    `;
    using machine = Machine.open(await engine.load(), guestEntry({ code, ring: 1, registers: { eax: 0 } }));
    const stop = machine.run();
    expect(stop).toMatchObject({
      kind: 'iopl-sensitive-instruction',
      rule: 'cli',
      instructions: 3,
      cpu: { eip: CODE + 16, registers: { eax: 0x1234, ecx: 0x12345678 } },
    });
    expect(stop.cpu.segments.cs.descriptor?.big).toBe(false);
  });

  it('the entry state may have any descriptor', async () => {
    const descriptor = { ...flatData(0), base: DATA, limit: 0xff, granular: false };
    const segments = { gs: { selector: 0x33, descriptor, promised: true } };
    // mov %gs:0x10,%eax; mov %gs:0xfd,%eax
    const code = '65 a1 10 00 00 00 65 a1 fd 00 00 00';
    using machine = Machine.open(await engine.load(), guestEntry({ code, segments }));
    expect(machine.run()).toMatchObject({
      kind: 'segment-access',
      register: 'gs',
      problem: 'limit',
      offset: 0xfd,
      instructions: 1,
      cpu: { registers: { eax: 0x13121110 } },
    });
    expect(flatCode(0).type).toBe(0xb);
  });
});

describeEachEngine('a repeated string instruction over its own page tables', engine => {
  it.each([
    { paging: '32-bit', ring: 0 },
    { paging: '32-bit', ring: 3 },
    { paging: 'pae', ring: 0 },
  ] as const)('ends in a page fault: $paging, ring $ring', async around => {
    const code = `
      b9 01 00 00 00   # mov $1,%ecx
      f3 a4            # 1: rep movsb
      e2 fc            # loop 1b: ECX is 0xffffffff then
    `;
    const entry = guestEntry({ code, ...around, registers: { esi: DATA + 0x40, edi: DATA + 0x80 } });
    using machine = Machine.open(await engine.load(), entry);
    const stop = machine.run({ instructions: 200 });
    expect(stop).toMatchObject({ kind: 'page-fault', instructions: 3, trail: [CODE, CODE + 5] });
    expect(stop.cpu.eip).toBe(CODE + 5);
    // It has come into the tables.
    expect(stop.cpu.registers.edi).toBeGreaterThan(TABLES);
  });
});
