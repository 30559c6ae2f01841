import { expect, it } from 'vitest';
import {
  PROT_READ,
  UC_ERR_FETCH_UNMAPPED,
  UC_ERR_READ_UNMAPPED,
  UC_ERR_WRITE_PROT,
  UC_ERR_WRITE_UNMAPPED,
  UC_MEM_READ_UNMAPPED,
  UC_MEM_WRITE_PROT,
  UC_MEM_WRITE_UNMAPPED,
} from '../../emulator/unicorn/constants.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, Cpu, NOWHERE } from './cpu.ts';

/** xor eax,eax; sub eax,1: EFLAGS has CF PF AF SF. */
const SET_FLAGS = [0x31, 0xc0, 0x83, 0xe8, 0x01];
const FLAGS = 0x95;
/** mov eax,[0x40000000] and mov [0x40000000],eax: nothing is there. */
const READ = [0xa1, 0, 0, 0, 0x40];
const WRITE = [0xa3, 0, 0, 0, 0x40];

describeEachEngine('accesses to physical memory that is not there', engine => {
  it('end the run with what was accessed, registers as before the instruction', async () => {
    using cpu = new Cpu(await engine.load());
    expect(cpu.run([...SET_FLAGS, ...READ])).toBe(UC_ERR_READ_UNMAPPED);
    expect(cpu.invalidAccesses.pop()).toMatchObject({
      type: UC_MEM_READ_UNMAPPED,
      address: 0x40000000,
      size: 4,
    });
    expect(cpu.eax).toBe(0xffffffff);
    expect(cpu.run([...SET_FLAGS, ...WRITE])).toBe(UC_ERR_WRITE_UNMAPPED);
    expect(cpu.invalidAccesses.pop()).toEqual({
      type: UC_MEM_WRITE_UNMAPPED,
      address: 0x40000000,
      size: 4,
      value: 0xffffffff,
    });
    cpu.uc.protect(0x30000, 0x1000, PROT_READ);
    expect(cpu.run([0xa3, 0, 0, 3, 0])).toBe(UC_ERR_WRITE_PROT);
    expect(cpu.invalidAccesses.pop()).toMatchObject({ type: UC_MEM_WRITE_PROT, address: 0x30000 });
    expect(cpu.vector).toBe(-1);
  });

  it('find EIP at the target of a jump', async () => {
    using cpu = new Cpu(await engine.load());
    expect(cpu.run([0xb8, 0, 0, 0, 0x40, 0xff, 0xe0], NOWHERE)).toBe(UC_ERR_FETCH_UNMAPPED);
    expect(cpu.eip).toBe(0x40000000);
  });

  it('quirk memory-error-state: EIP is the start of the block, and EFLAGS is not up to date', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.run([...SET_FLAGS, ...WRITE]);
    expect(cpu.eip).toBe(CODE);
    expect(cpu.eflags & 0x8d5).not.toBe(FLAGS);
  });

  it('quirk memory-error-state: stepping to the instruction gives both', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.write(CODE, ...SET_FLAGS, ...WRITE);
    cpu.go(CODE, CODE + 2);
    cpu.go(CODE + 2, CODE + 5);
    expect([cpu.eip, cpu.eflags & 0x8d5]).toEqual([CODE + 5, FLAGS]);
    expect(cpu.go(CODE + 5, CODE + 10)).toBe(UC_ERR_WRITE_UNMAPPED);
    expect(cpu.eip).toBe(CODE + 5);
  });

  it('quirk memory-error-state: FNSAVE runs on to its end, and EIP is behind it', async () => {
    using cpu = new Cpu(await engine.load());
    cpu.run([0xdd, 0x35, 0, 0, 0, 0x40]);
    expect(cpu.invalidAccesses[0]).toMatchObject({ address: 0x40000000 });
    expect(cpu.eip).toBe(CODE + 6);
  });

  it('retry when the hook has mapped what was missing', async () => {
    const library = await engine.load();
    using cpu = new Cpu(library);
    const page = library.allocate(0x1000);
    cpu.uc.onInvalidMemory(() => {
      cpu.uc.map(0x40000000, 0x1000, 7, page, 0);
      return true;
    });
    expect(cpu.run([0x40, ...WRITE])).toBe(0);
    expect(page.bytes()[0]).toBe(1);
  });
});
