/** Where Bochs or startup32 differ, and where the manual leaves it open. */
import { END_VECTOR } from '../case.ts';
import {
  CR4_DE,
  INVALID_OPCODE,
  isInNewTask,
  type KnownDifference,
  NOT_AVAILABLE,
  onlyIn,
  outcomes,
  STACK_FAULT,
  TRANSFERS,
  topicIs,
  vectorOf,
} from './situation.ts';

export const OTHERS: readonly KnownDifference[] = [
  {
    id: 'bochs-writes-before-fault',
    title: 'An instruction with several stores (SGDT, PUSHA, a call gate ...) whose later part faults',
    manual:
      'A fault restores the state before the instruction as far as registers go; what is in memory that the instruction writes is not promised (SDM vol. 3, 6.5 and 6.6).',
    does: {
      startup32: 'writes nothing',
      qemu: 'writes nothing, or does not fault',
      bochs: 'leaves the stores that came before the fault',
    },
    wrong: [],
    matches: s => {
      const both = outcomes(s);
      return (
        s.oracle === 'bochs' &&
        both !== undefined &&
        both[0].vector !== END_VECTOR &&
        onlyIn(s.fields, ['data', 'stack'])
      );
    },
  },
  {
    id: 'dr4-privilege',
    title: 'MOV to or from DR4 or DR5 with CR4.DE = 1 outside ring 0',
    manual:
      'Both #UD (CR4.DE = 1) and #GP(0) (CPL > 0) apply; the order is not given (SDM vol. 2, MOV—Move to/from Debug Registers).',
    does: { startup32: '#UD', bochs: '#UD', qemu: '#GP(0)' },
    wrong: [],
    matches: s =>
      s.oracleCase.ring !== 0 &&
      (s.oracleCase.cr4 & CR4_DE) !== 0 &&
      [s.ours, s.theirs].some(result => vectorOf(result) === INVALID_OPCODE) &&
      topicIs(/^mov-(to|from)-dr[45]$/)(s),
  },
  {
    id: 'push-segment-half',
    title: 'PUSH and POP of a segment register with a 32-bit operand',
    manual:
      'Either a zero-extended doubleword is pushed, or the selector is written with a 16-bit move and the upper half of the slot stays (SDM vol. 2, PUSH); so may the limit be that of either.',
    does: {
      startup32: 'writes and reads 32 bits',
      qemu: 'writes and reads 32 bits',
      bochs: 'writes and reads 16 bits',
      kvm: 'writes and reads 16 bits',
    },
    wrong: [],
    matches: s =>
      (s.oracle === 'bochs' || s.oracle === 'kvm') &&
      topicIs(/(push|pop)-segment/)(s) &&
      (vectorOf(s.ours) === END_VECTOR
        ? onlyIn(s.fields, ['data', 'stack'])
        : vectorOf(s.ours) === STACK_FAULT && vectorOf(s.theirs) === END_VECTOR),
  },
  {
    id: 'bochs-task-switch-stack',
    title: 'A fault that a task switch raises before the new CS is loaded',
    manual:
      'Which selectors a handler finds is not promised (SDM vol. 3, 6.15, interrupt 10: "the exception handler should not rely on being able to use the segment selectors found in the CS, SS, DS, ES, FS, and GS registers").',
    does: {
      startup32: "stays on the new ring-0 task's stack",
      bochs: 'compares with the CPL of the old task, and takes a stack from the TSS',
      qemu: 'see the entry above',
    },
    wrong: [],
    matches: s =>
      s.oracle === 'bochs' && isInNewTask(s.ours) && onlyIn(s.fields, ['esp', 'ss']) && topicIs(TRANSFERS)(s),
  },
  {
    id: 'sse-ud-or-nm',
    title: 'MMX and SSE instructions with both CR0.TS and CR0.EM, or CR0.TS and no CR4.OSFXSR',
    manual:
      '#UD and #NM both apply; both are faults of decoding, and the order in that class is not given (SDM vol. 3, table 6-2).',
    does: { startup32: '#UD', bochs: '#UD', qemu: '#NM' },
    wrong: [],
    matches: s =>
      s.oracle === 'qemu' &&
      vectorOf(s.ours) === INVALID_OPCODE &&
      vectorOf(s.theirs) === NOT_AVAILABLE &&
      topicIs(/^coprocessor/)(s),
  },
  {
    id: 'sysenter-cs-width',
    title: 'WRMSR to IA32_SYSENTER_CS with bits 31:16, and RDMSR',
    manual:
      'Bits 15:0 are the selector; nothing is said of the others (SDM vol. 4, table 2-2; vol. 3, 5.8.7).',
    does: { startup32: 'keeps 32 bits', bochs: 'keeps 32 bits', qemu: 'keeps 16 bits' },
    wrong: [],
    matches: s =>
      s.oracle === 'qemu' && s.confirmed && onlyIn(s.fields, ['esi']) && s.oracleCase.topic === 'wrmsr',
  },
  {
    id: 'unicorn-js-dr4',
    title: 'MOV to or from DR4 or DR5 in ring 0 with CR4.DE = 0, on unicorn.js',
    manual: 'They are DR6 and DR7 (SDM vol. 3, 17.2.2).',
    does: {
      startup32: '#UD on unicorn.js, which has no such alias; as the manual says on libunicorn',
      qemu: 'as the manual says',
      bochs: 'as the manual says',
    },
    wrong: ['startup32'],
    matches: s =>
      s.oracleCase.ring === 0 &&
      (s.oracleCase.cr4 & CR4_DE) === 0 &&
      vectorOf(s.ours) === INVALID_OPCODE &&
      vectorOf(s.theirs) === END_VECTOR &&
      topicIs(/^mov-(to|from)-dr[45]$/)(s),
  },
];
