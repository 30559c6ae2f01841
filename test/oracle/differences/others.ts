/** Where Bochs or startup32 differ, and where the manual leaves it open. */
import { END_VECTOR } from '../case.ts';
import {
  CR4_DE,
  GENERAL_PROTECTION,
  INVALID_OPCODE,
  isInNewTask,
  type KnownDifference,
  NOT_AVAILABLE,
  onlyIn,
  outcomes,
  PAGE_FAULT,
  STACK_FAULT,
  TRANSFERS,
  topicIs,
  vectorOf,
} from './situation.ts';

export const OTHERS: readonly KnownDifference[] = [
  {
    id: 'call-order',
    title: 'A near CALL whose target is beyond the limit and whose return address cannot be pushed',
    manual:
      'The target is checked first: #GP(0) (SDM vol. 2, CALL, near relative call and near absolute call).',
    does: {
      startup32: '#GP(0)',
      bochs: 'pushes first: #SS(0) or #PF',
      qemu: 'pushes first, and never checks the target: #PF, or no fault at all',
    },
    wrong: ['qemu', 'bochs'],
    matches: s => vectorOf(s.ours) === GENERAL_PROTECTION && s.oracleCase.topic === 'cs-limit/call',
  },
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
      '#UD: with CR4.DE = 1 there are no such registers (SDM vol. 3, 17.2.2); undefined opcodes come before privilege checks (table 6-2).',
    does: { startup32: '#UD', bochs: '#UD', qemu: '#GP(0)' },
    wrong: ['qemu'],
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
        : vectorOf(s.ours) === STACK_FAULT &&
          (vectorOf(s.theirs) === END_VECTOR || vectorOf(s.theirs) === PAGE_FAULT)),
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
    title: 'MMX and SSE instructions with both CR0.TS and CR0.EM, and SSE ones with CR0.TS and no CR4.OSFXSR',
    manual:
      '#UD, whatever TS is: #NM only with EM = 0 and, for SSE, OSFXSR = 1 (SDM vol. 3, table 12-1 for MMX, table 13-1 for SSE).',
    does: { startup32: '#UD', bochs: '#UD', qemu: '#NM' },
    wrong: ['qemu'],
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
];
