/** Segments, gates and tasks in QEMU 7.2. */
import { END_VECTOR, TSS_SELECTOR } from '../case.ts';
import { isOutcome } from '../result.ts';
import {
  ACCESSES,
  GENERAL_PROTECTION,
  hasNarrowGate,
  isInNewTask,
  type KnownDifference,
  NOT_PRESENT,
  onlyIn,
  outcomes,
  PAGE_FAULT,
  STACK_FAULT,
  TRANSFERS,
  topicIs,
  vectorOf,
} from './situation.ts';

const GENERAL = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];

export const QEMU_SEGMENTS: readonly KnownDifference[] = [
  {
    id: 'qemu-segment-checks',
    title:
      'A memory access, or a jump, beyond a segment limit, through a null selector or against the segment type',
    manual:
      '#GP(0), or #SS(0) through SS (SDM vol. 3, 5.3 and 5.5; vol. 2, the exceptions of each instruction; for near jumps and calls "if the target offset is beyond the code segment limit").',
    does: {
      startup32: 'faults',
      bochs: 'faults',
      qemu: 'does not check segments on access: the access is made, or raises what paging raises',
    },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      (s.confirmed || topicIs(/stack-(push|pop)-segment/)(s)) &&
      isOutcome(s.ours) &&
      (s.ours.vector === STACK_FAULT || s.ours.vector === GENERAL_PROTECTION) &&
      s.ours.errorCode === 0 &&
      topicIs(ACCESSES)(s),
  },
  {
    id: 'qemu-narrow-gate',
    title: 'A 16-bit call, interrupt or trap gate whose last word is not 0',
    manual: 'The offset of a 16-bit gate has 16 bits; the word is reserved (SDM vol. 3, 21.4 and 6.11).',
    does: { startup32: 'takes 16 bits', bochs: 'takes 16 bits', qemu: 'takes 32 bits' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      hasNarrowGate(s.oracleCase) &&
      topicIs(/^(far-(call|jmp)\/gate-16|int\/(vm86-)?handler-16)$/)(s),
  },
  {
    id: 'qemu-vm86-gate',
    title: 'INT n in virtual-8086 mode through a gate to a code segment of another ring than 0',
    manual: '#GP(selector) (SDM vol. 2, INT n, INTRA-PRIVILEGE-LEVEL and FROM-VIRTUAL-8086-MODE).',
    does: { startup32: '#GP(selector)', bochs: '#GP(selector)', qemu: 'enters the ring of the segment' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === GENERAL_PROTECTION &&
      topicIs(/^int\/vm86-handler/)(s),
  },
  {
    id: 'qemu-narrow-task',
    title: 'The upper halves of the general registers after a switch to a 16-bit TSS',
    manual: 'A 16-bit TSS has no place for them, and nothing is said of what they are (SDM vol. 3, 7.6).',
    does: { startup32: 'all ones', bochs: 'all ones', qemu: 'those of the old task' },
    wrong: [],
    matches: s =>
      s.oracle === 'qemu' && s.confirmed && onlyIn(s.fields, GENERAL) && topicIs(/^task-switch\/.*-16$/)(s),
  },
  {
    id: 'qemu-conforming-gate',
    title: 'A call gate whose target is a conforming code segment of a smaller DPL',
    manual: 'The CPL stays, and no stack is switched (SDM vol. 3, 5.8.4 and 5.8.5).',
    does: { startup32: 'stays', bochs: 'stays', qemu: 'enters the ring of the target' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' && s.confirmed && s.fields.includes('cs') && s.oracleCase.topic === 'far-call/gate',
  },
  {
    id: 'qemu-enter-wrap',
    title: 'ENTER on a 16-bit stack whose SP goes below 0',
    manual:
      'SP alone counts and wraps; EBP becomes the stack pointer behind the push (SDM vol. 2, ENTER; vol. 1, 6.2.3).',
    does: {
      startup32: 'wraps SP',
      bochs: 'wraps SP',
      qemu: 'takes EBP from a subtraction of all of ESP',
    },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      onlyIn(s.fields, ['ebp']) &&
      s.oracleCase.topic === 'segment-access/stack-enter',
  },
  {
    id: 'qemu-ltr-null',
    title: 'LTR with a null selector',
    manual: '#GP(0) (SDM vol. 2, LTR).',
    does: { startup32: '#GP(0)', bochs: '#GP(0)', qemu: 'loads it' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' && s.confirmed && vectorOf(s.theirs) === END_VECTOR && s.oracleCase.topic === 'ltr',
  },
  {
    id: 'qemu-task-switch-fault',
    title: 'A fault that a task switch raises in the new task, e.g. for its LDT or a data segment',
    manual:
      'The saved EIP is that of the new task: its first instruction has not run (SDM vol. 3, 6.15, interrupt 10; 7.3).',
    does: {
      startup32: 'the state of the new TSS',
      bochs: 'the state of the new TSS',
      qemu: 'EIP rounded down to a page; LDTR without its low bits; ESP and SS of neither task; at times #DF',
    },
    wrong: ['qemu'],
    matches: s => s.oracle === 'qemu' && s.confirmed && isInNewTask(s.ours) && topicIs(TRANSFERS)(s),
  },
  {
    id: 'qemu-task-switch-checks',
    title: 'A task switch to a TSS in the LDT, through a task gate or without one',
    manual:
      '#GP(selector): a TSS descriptor is in the GDT (SDM vol. 2, CALL, JMP, INT n: "if the segment selector for a TSS has its local/global bit set for local").',
    does: { startup32: '#GP(selector)', bochs: '#GP(selector)', qemu: '#TS or #NP with that selector' },
    wrong: ['qemu'],
    matches: s => {
      const both = outcomes(s);
      return (
        s.oracle === 'qemu' &&
        s.confirmed &&
        both !== undefined &&
        onlyIn(s.fields, ['vector']) &&
        both[0].vector === GENERAL_PROTECTION &&
        ((both[0].errorCode ?? 0) & 4) !== 0 &&
        topicIs(/^(task-switch|far-)/)(s)
      );
    },
  },
  {
    id: 'qemu-task-switch-cr2',
    title: 'A page fault for the new TSS of a task switch',
    manual: 'Which field is read first is not given (SDM vol. 3, 7.3).',
    does: {
      startup32: 'CR2 of its first byte',
      bochs: 'CR2 of its first byte',
      qemu: 'CR2 of its CR3 field',
    },
    wrong: [],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === PAGE_FAULT &&
      onlyIn(s.fields, ['cr2']) &&
      topicIs(TRANSFERS)(s),
  },
  {
    id: 'qemu-task-switch-accessed',
    title: 'A task switch, a call gate or a return that loads a segment whose accessed bit is clear',
    manual: 'The bit is set when the selector is loaded (SDM vol. 3, 3.4.5.1).',
    does: { startup32: 'sets it', bochs: 'sets it', qemu: 'does not' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      onlyIn(s.fields, ['tables']) &&
      topicIs(/^(task-switch|far-|iret)/)(s),
  },
  {
    id: 'qemu-task-to-itself',
    title: 'IRET with NT whose back link is the task itself',
    manual:
      'The state is saved in the old TSS before it is loaded from the new one, which is the same (SDM vol. 3, 7.3).',
    does: {
      startup32: 'goes on behind the IRET',
      bochs: 'goes on behind the IRET',
      qemu: 'loads the older contents',
    },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      isOutcome(s.ours) &&
      s.ours.tr === TSS_SELECTOR &&
      vectorOf(s.ours) === END_VECTOR &&
      s.oracleCase.topic === 'task-switch/iret',
  },
  {
    id: 'qemu-jmp-gate-not-present',
    title: 'JMP through a call gate to a code segment that is not present',
    manual: '#NP(selector) (SDM vol. 2, JMP).',
    does: { startup32: '#NP', bochs: '#NP', qemu: '#GP' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === NOT_PRESENT &&
      onlyIn(s.fields, ['vector']) &&
      s.oracleCase.topic === 'far-jmp/gate',
  },
];
