/** Faults that QEMU 7.2 raises otherwise, or not at all. */
import { END_VECTOR } from '../case.ts';
import {
  ALIGNMENT_CHECK,
  ERROR_PRESENT,
  ERROR_RESERVED,
  ERROR_WRITE,
  type KnownDifference,
  onlyIn,
  outcomes,
  PAGE_FAULT,
  topicIs,
  vectorOf,
} from './situation.ts';

export const QEMU_FAULTS: readonly KnownDifference[] = [
  {
    id: 'qemu-reserved-bit-present',
    title: 'A page fault for a reserved bit in a page-table entry whose P bit is set',
    manual: 'Bit 0 (P) of the error code is 1: the entry was present (SDM vol. 3, 4.7).',
    does: { startup32: 'P = 1', bochs: 'P = 1', qemu: 'P = 0' },
    wrong: ['qemu'],
    matches: s => {
      const both = outcomes(s);
      if (s.oracle !== 'qemu' || !both || !onlyIn(s.fields, ['error code', 'cr2', 'stack', 'data']))
        return false;
      const [ours, theirs] = both;
      const code = ours.errorCode ?? 0;
      return (
        ours.vector === PAGE_FAULT &&
        (code & ERROR_RESERVED) !== 0 &&
        ((theirs.errorCode ?? 0) | ERROR_PRESENT | ERROR_WRITE) === (code | ERROR_WRITE)
      );
    },
  },
  {
    id: 'qemu-read-modify-write',
    title: 'A page fault of an instruction that reads and then writes its operand',
    manual:
      'Bit 1 (W/R) of the error code is 1 for a write (SDM vol. 3, 4.7); silicon checks for a write before it reads.',
    does: {
      startup32: 'W/R = 1',
      bochs: 'W/R = 1',
      qemu: 'W/R = 0 where the read alone faults',
      kvm: 'W/R = 1',
    },
    wrong: ['qemu'],
    matches: s => {
      const both = outcomes(s);
      if (s.oracle !== 'qemu' || !both || !onlyIn(s.fields, ['error code'])) return false;
      const [ours, theirs] = both;
      return ours.vector === PAGE_FAULT && ours.errorCode === ((theirs.errorCode ?? 0) | ERROR_WRITE);
    },
  },
  {
    id: 'qemu-alignment',
    title: 'An unaligned access at CPL 3 with CR0.AM and EFLAGS.AC',
    manual: '#AC(0) (SDM vol. 3, 6.15, interrupt 17).',
    does: { startup32: '#AC(0)', bochs: '#AC(0)', qemu: 'never checks alignment' },
    wrong: ['qemu'],
    matches: s => s.oracle === 'qemu' && s.confirmed && vectorOf(s.ours) === ALIGNMENT_CHECK,
  },
  {
    id: 'qemu-emms',
    title: 'EMMS with CR0.EM or CR0.TS',
    manual: '#UD with EM, #NM with TS (SDM vol. 2, EMMS; vol. 3, 2.5 and 12.1).',
    does: { startup32: '#UD, #NM', bochs: '#UD, #NM', qemu: 'runs' },
    wrong: ['qemu'],
    matches: s => s.oracle === 'qemu' && s.confirmed && s.oracleCase.topic === 'coprocessor/emms',
  },
  {
    id: 'qemu-pusha',
    title: 'A page fault of PUSHA',
    manual:
      'EAX is pushed first: CR2 is the address of its slot when that is on the refused page (SDM vol. 2, PUSHA).',
    does: { startup32: 'CR2 of the first push', bochs: 'CR2 of the first push', qemu: 'CR2 of the last one' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === PAGE_FAULT &&
      onlyIn(s.fields, ['cr2', 'error code']) &&
      s.oracleCase.topic === 'page-fault/stack',
  },
  {
    id: 'qemu-enter',
    title: 'ENTER whose new stack pointer is on a page that cannot be written',
    manual:
      '#PF: "a page fault whenever a write using the final value of the stack pointer would do so" (SDM vol. 2, ENTER).',
    does: { startup32: '#PF', bochs: '#PF', qemu: 'does not look' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === PAGE_FAULT &&
      vectorOf(s.theirs) === END_VECTOR &&
      topicIs(/^(page-fault\/stack|segment-access\/stack-enter)$/)(s),
  },
];
