/**
 * Every way in which Unicorn differs from a CPU, or one build from the other, and what is done about it. Each entry
 * has a test in `test/unicorn/` that shows the bare symptom and fails when the remedy is taken away.
 */
import type { EngineName } from './api.ts';

export { type Calibration, calibrate } from './quirks/calibration.ts';
export { enterCpuState, type HiddenSegments, readCpuState, readHiddenSegments } from './quirks/cpu-state.ts';
export { ExceptionLatch } from './quirks/exceptions.ts';

export interface Quirk {
  readonly id: string;
  readonly engines: readonly EngineName[];
  readonly symptom: string;
  readonly remedy: string;
  /** Where the upstream project discusses it. */
  readonly upstream?: string;
  /** File under `test/unicorn/`. */
  readonly test: string;
}

const BOTH: readonly EngineName[] = ['unicorn.js', 'libunicorn'];

export const QUIRKS: readonly Quirk[] = [
  {
    id: 'old-exception',
    engines: BOTH,
    symptom:
      'After one handled #GP the next comes as vector 8, and the one after that as a silent end of the run.',
    remedy: 'ExceptionLatch puts -1 into old_exception, through a saved and restored context.',
    upstream: 'unicorn-engine/unicorn issues 578 and 1883',
    test: 'exceptions.test.ts',
  },
  {
    id: 'error-code',
    engines: BOTH,
    symptom: 'No API call returns the error code of an exception.',
    remedy: 'ExceptionLatch reads it from a context, at the offset that calibrate found.',
    test: 'exceptions.test.ts',
  },
  {
    id: 'hidden-segments',
    engines: BOTH,
    symptom: 'No API call returns or sets the hidden part of a segment register.',
    remedy: 'readHiddenSegments and enterCpuState read and patch a context, at offsets that calibrate found.',
    test: 'cpu-state.test.ts',
  },
  {
    id: 'ring-not-writable',
    engines: BOTH,
    symptom: 'Writing SS fails with UC_ERR_EXCEPTION unless RPL = DPL = CPL: ring 1 to 3 cannot be written.',
    remedy: 'enterCpuState patches segments and hflags of a context; no GDT and no iret are needed.',
    test: 'cpu-state.test.ts',
  },
  {
    id: 'eflags-reserved-bit',
    engines: ['unicorn.js'],
    symptom: 'EFLAGS starts as 0, without the bit that is always 1.',
    remedy: 'enterCpuState and readCpuState set bit 1.',
    test: 'cpu-state.test.ts',
  },
  {
    id: 'two-byte-registers',
    engines: BOTH,
    symptom: 'Reading a segment register writes two bytes of the buffer and leaves the rest.',
    remedy: 'The bindings clear the buffer before each read.',
    test: 'registers.test.ts',
  },
  {
    id: 'cpu-features',
    engines: ['unicorn.js'],
    symptom:
      'The CPU model has SSE4, AES, BMI and 3DNow!, which libunicorn has not, and no EFER bits, which it has.',
    remedy: 'The binding writes the feature words of qemu64 when it opens a CPU.',
    test: 'cpu-features.test.ts',
  },
  {
    id: 'block-full',
    engines: ['unicorn.js'],
    symptom:
      'A long block is cut when the translation buffer is full: it reports size 0, and what follows has no block hook.',
    remedy:
      'The binding clears block_full in each block hook, and takes the size from the translation block.',
    test: 'blocks.test.ts',
  },
  {
    id: 'stale-exit',
    engines: ['unicorn.js'],
    symptom:
      'The first block of every run but the first is announced twice: uc_emu_start itself asks for an exit.',
    remedy: 'The binding clears the request in the first block hook of a run.',
    test: 'blocks.test.ts',
  },
  {
    id: 'code-hook-corrupts',
    engines: ['unicorn.js'],
    symptom: 'HOOK_CODE inside a block stores EFLAGS into a general register.',
    remedy: 'The binding offers no code hook (capabilities.exactCodeHook) and no instruction count.',
    test: 'hooks.test.ts',
  },
  {
    id: 'native-until',
    engines: ['libunicorn'],
    symptom:
      'The end address does not stop in code that was translated before, and code translated with one may stop later.',
    remedy: 'The binding turns exits off and puts a code hook there for the length of the run.',
    test: 'until.test.ts',
  },
  {
    id: 'native-drop-faults',
    engines: ['libunicorn'],
    symptom: 'Dropping translated code of a page that the guest does not map changes CR2 and old_exception.',
    remedy:
      'The binding restores the context afterwards; with exits off uc_emu_start does not do it by itself.',
    test: 'paging.test.ts',
  },
  {
    id: 'native-register-in-callback',
    engines: ['libunicorn'],
    symptom: 'koffi.register inside a callback makes later callbacks fail with a stack overflow.',
    remedy: 'All callbacks of a CPU are registered when it is opened.',
    test: 'hooks.test.ts',
  },
  {
    id: 'native-edge-first',
    engines: ['libunicorn'],
    symptom: 'HOOK_EDGE_GENERATED is not called for the very first block that a CPU translates.',
    remedy: 'Whoever watches new blocks looks at the first one by itself.',
    test: 'hooks.test.ts',
  },
  {
    id: 'native-drop-by-write',
    engines: ['libunicorn'],
    symptom: 'uc_mem_write of the same bytes does not drop translated code, as it does in unicorn.js.',
    remedy: 'dropTranslated uses uc_ctl natively.',
    test: 'hooks.test.ts',
  },
  {
    id: 'code-buffer-overflow',
    engines: ['libunicorn'],
    symptom:
      'When its buffer of translated code overflows, the engine ends the process with a segmentation fault.',
    remedy: 'CodeLoad estimates how full the buffer is, and Session flushes it in time.',
    test: 'code-load.test.ts',
  },
  {
    id: 'hardware-breakpoints',
    engines: BOTH,
    symptom:
      'With a breakpoint armed in DR7, libunicorn ends the process at it or does not see it, and unicorn.js ends the run with an error.',
    remedy: 'A MOV to DR7 that arms one ends the run in an `engine-limit` Stop before it reaches the engine.',
    test: 'hardware-breakpoints.test.ts',
  },
  {
    id: 'native-2.0-aborts',
    engines: ['libunicorn'],
    symptom: '2.0.x ends the process with "tcg fatal error" on ff d8, ff e8, f0 38, f0 39 and f0 a6.',
    remedy: 'checkVersion refuses anything before 2.1.',
    test: 'load.test.ts',
  },
  {
    id: 'memory-error-state',
    engines: BOTH,
    symptom:
      'After an access to unmapped or protected physical memory EIP is the start of the block, and EFLAGS is stale; but FNSAVE, and in unicorn.js CMPXCHG8B, ENTER and others, run on to their end, and EIP is behind them.',
    remedy:
      'Run again up to that block and step through it: the state before the failing step is exact, and is put back. Page faults are exact.',
    test: 'memory-errors.test.ts',
  },
  {
    id: 'io-never-faults',
    engines: BOTH,
    symptom: 'IN and OUT run at any CPL and IOPL.',
    remedy: 'They are found by decoding each block before it runs.',
    test: 'privilege.test.ts',
  },
  {
    id: 'sysenter-never-faults',
    engines: BOTH,
    symptom: 'SYSENTER with SYSENTER_CS = 0 does not raise #GP(0).',
    remedy: 'It is found by decoding each block before it runs.',
    test: 'privilege.test.ts',
  },
  {
    id: 'segments-not-checked',
    engines: BOTH,
    symptom: 'An access through a null segment, or beyond the limit, succeeds.',
    remedy: 'Accesses through segments that are not flat are found by decoding each block before it runs.',
    test: 'privilege.test.ts',
  },
  {
    id: 'invalid-opcode-forms',
    engines: ['unicorn.js'],
    symptom: 'ff /3 and ff /5 with a register operand read memory, and lock before inc runs, instead of #UD.',
    remedy: 'What does not decode as a valid instruction is found by decoding each block before it runs.',
    test: 'privilege.test.ts',
  },
  {
    id: 'identity-paging',
    engines: ['unicorn.js'],
    symptom: 'Page tables are checked, and the access then goes to physical = linear.',
    remedy: "capabilities.paging is 'identity'; the Machine stops with engine-limit where that would matter.",
    test: 'paging.test.ts',
  },
  {
    id: 'stale-code',
    engines: BOTH,
    symptom:
      'After the first write to a page that holds code, translations of other blocks in it stay when they are overwritten: the page counts as dirty.',
    remedy:
      'BlockMap.hasChanged compares the bytes at each announcement, CodePages where blocks are not announced; Session then drops the translation.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'self-modifying-block',
    engines: BOTH,
    symptom:
      'Before an instruction writes to its own block, the block is announced again from that instruction; unicorn.js may go on at a wrong address or repeat it for ever.',
    remedy:
      'Session sees that a block cannot come after the one that runs, starts again and steps through that block.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'div-flags',
    engines: ['unicorn.js'],
    symptom: 'EFLAGS is stale after #DE.',
    remedy: 'Session repeats the run up to that block and steps through it; only page faults count as exact.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'registers-before-fault',
    engines: BOTH,
    symptom:
      'RCL, RCR and SETcc in memory compute EFLAGS before they fault; in unicorn.js LEAVE has set ESP then.',
    remedy: 'Session repeats the run up to that block, steps through it, and puts the registers back.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'no-wrap',
    engines: ['unicorn.js'],
    symptom: 'An access that crosses 4 GiB is refused, though there is memory at 0.',
    remedy: 'The binding maps the first page there too; the engine then goes on at 0.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'fetch-ahead',
    engines: BOTH,
    symptom:
      'A block that runs into a page which cannot be fetched from faults before its first instruction.',
    remedy: 'Session steps up to the page; the bindings end the translation of a step at its end address.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'refused-before-tables',
    engines: ['unicorn.js'],
    symptom:
      'With paging on, an access is refused by its linear address before the page tables are looked at.',
    remedy: 'behindTables makes it the #PF that comes first, or translates the address.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'write-hook-flags',
    engines: BOTH,
    symptom: 'A run that is ended in a memory write hook stands before the write, with EFLAGS lost.',
    remedy:
      'Session repeats the run and steps through the block; while stepping, writes to page tables are let through.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'late-exceptions',
    engines: BOTH,
    symptom:
      'INT n is seen after the instruction, UD2 comes as an error, and HLT and a triple fault end the run without a word.',
    remedy: 'They are found by decoding each block before it runs, and never reach the engine.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'port-callback-eip',
    engines: BOTH,
    symptom: 'In the callback of IN and OUT, EIP is the start of the block.',
    remedy: 'What may fault is found by decoding; the callback only moves the value.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'runs-what-it-has-not',
    engines: BOTH,
    symptom:
      'VZEROUPPER and its like run without AVX, XBEGIN and XABORT run as MOV, and SYSCALL runs in protected mode.',
    remedy: 'sensitivityOf marks what is not encoded the legacy way, and SYSCALL, as undefined.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'stale-eip',
    engines: ['libunicorn'],
    symptom:
      'In a block hook, and after a stop from one or from a time limit, EIP is that of an earlier block: blocks are chained.',
    remedy: 'Processor puts EIP where the announced block starts, and gives the engine no time limit.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'cr2-writes-cr3',
    engines: ['libunicorn'],
    symptom: 'Writing CR2 through uc_reg_write changes CR3 instead.',
    remedy: 'writeCr2 and enterCpuState patch it in a context, behind the segments.',
    test: 'cpu-state.test.ts',
  },
  {
    id: 'until-fetches',
    engines: ['libunicorn'],
    symptom:
      'A run with an end that faults on its first fetch has the CR2 and error code of another one, of the byte before its end.',
    remedy: 'Session gives no end to a run that begins where the guest may not fetch.',
    test: 'run-loop.test.ts',
  },
  {
    id: 'coprocessor-flags',
    engines: ['unicorn.js'],
    symptom: 'Writing CR0 with MP, EM or TS does not make coprocessor instructions raise #NM.',
    remedy: 'enterCpuState sets those bits of hflags from CR0.',
    test: 'cpu-state.test.ts',
  },
  {
    id: 'osfxsr',
    engines: ['unicorn.js'],
    symptom: 'Writing CR4 does not change whether SSE instructions are valid.',
    remedy: 'enterCpuState sets that bit of hflags from CR4.OSFXSR.',
    test: 'run-loop.test.ts',
  },
] satisfies readonly Quirk[];

for (const quirk of QUIRKS) Object.freeze(quirk);
Object.freeze(QUIRKS);
