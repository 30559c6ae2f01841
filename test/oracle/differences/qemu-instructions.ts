/** Instructions, flags and registers in QEMU 7.2. */
import {
  CR4_PVI,
  CR4_VME,
  GENERAL_PROTECTION,
  hasByte,
  INVALID_OPCODE,
  type KnownDifference,
  LOCK,
  outcomes,
  topicIs,
  VIF_VIP,
  vectorOf,
} from './situation.ts';

export const QEMU_INSTRUCTIONS: readonly KnownDifference[] = [
  {
    id: 'qemu-undefined-control-register',
    title: 'MOV to or from CR1, CR5, CR6, CR7 outside ring 0',
    manual:
      '#UD: there is no such register (SDM vol. 2, MOV—Move to/from Control Registers); undefined opcodes come before privilege checks (vol. 3, table 6-2).',
    does: { startup32: '#UD', bochs: '#UD', qemu: '#GP(0)' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' && vectorOf(s.ours) === INVALID_OPCODE && topicIs(/^mov-(to|from)-cr[1567]$/)(s),
  },
  {
    id: 'qemu-control-register-values',
    title: 'MOV to CR0 with NW and without CD; MOV to CR4 with a reserved bit',
    manual: '#GP(0) (SDM vol. 2, MOV—Move to/from Control Registers).',
    does: { startup32: '#GP(0)', bochs: '#GP(0)', qemu: 'loads the value, or ends in it' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === GENERAL_PROTECTION &&
      vectorOf(s.theirs) !== GENERAL_PROTECTION &&
      topicIs(/^mov-to-cr[04]$/)(s),
  },
  {
    id: 'qemu-int1',
    title: 'INT1 (F1)',
    manual: '#DB, whatever the DPL of the gate (SDM vol. 2, INT n/INTO/INT3/INT1).',
    does: { startup32: '#DB', bochs: '#DB', qemu: '#UD' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' && vectorOf(s.theirs) === INVALID_OPCODE && s.oracleCase.topic === 'int1',
  },
  {
    id: 'qemu-virtual-interrupt',
    title: 'VIF and VIP both set, in virtual-8086 mode with CR4.VME or at CPL 3 with CR4.PVI',
    manual: '#GP(0) before the next instruction (SDM vol. 3, 20.3.2 and 20.4).',
    does: { startup32: '#GP(0)', bochs: '#GP(0)', qemu: 'goes on: it has neither VME nor PVI' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      (s.oracleCase.eflags & VIF_VIP) === VIF_VIP &&
      (s.oracleCase.cr4 & (CR4_VME | CR4_PVI)) !== 0 &&
      vectorOf(s.ours) === GENERAL_PROTECTION,
  },
  {
    id: 'qemu-rdpmc',
    title: 'RDPMC that the privilege rules allow',
    manual:
      'The counter, or #GP(0) for one that the CPU does not have (SDM vol. 2, RDPMC). What a counter holds is not compared.',
    does: { startup32: 'a counter of 0, or #GP(0)', bochs: 'a counter of 0, or #GP(0)', qemu: '#UD' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.theirs) === INVALID_OPCODE &&
      s.oracleCase.topic === 'rdpmc',
  },
  {
    id: 'qemu-efer',
    title: 'WRMSR to IA32_EFER with a reserved bit',
    manual: '#GP(0) (SDM vol. 2, WRMSR).',
    does: { startup32: '#GP(0)', bochs: '#GP(0)', qemu: 'leaves the bit as it is' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === GENERAL_PROTECTION &&
      s.oracleCase.topic === 'wrmsr/efer',
  },
  {
    id: 'qemu-pvi',
    title: 'CLI and STI at CPL 3 with IOPL < 3 and CR4.PVI = 1',
    manual: 'They clear and set VIF; STI with VIP is a #GP(0) (SDM vol. 3, 20.4; vol. 2, CLI, STI).',
    does: { startup32: 'as the manual says', bochs: 'as the manual says', qemu: '#GP(0)' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      (s.oracleCase.cr4 & CR4_PVI) !== 0 &&
      vectorOf(s.theirs) === GENERAL_PROTECTION &&
      topicIs(/^(cli|sti)$/)(s),
  },
  {
    id: 'qemu-undefined-encodings',
    title: 'Encodings that the manual does not define, such as 8F /1 and C6 /6',
    manual: '#UD (SDM vol. 2, appendix A, tables A-2 and A-6).',
    does: { startup32: '#UD', bochs: '#UD', qemu: 'runs some of them as their neighbours' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === INVALID_OPCODE &&
      s.oracleCase.topic === 'control/undefined',
  },
  {
    id: 'qemu-iret-vif',
    title: 'IRETD in ring 0 with VIF or VIP in its frame',
    manual: 'VIF and VIP are loaded when CPL = 0 (SDM vol. 2, IRET, RETURN-TO-SAME-PRIVILEGE-LEVEL).',
    does: { startup32: 'loads them', bochs: 'loads them', qemu: 'leaves them as they are' },
    wrong: ['qemu'],
    matches: s => {
      const both = outcomes(s);
      if (s.oracle !== 'qemu' || !s.confirmed || !both || !topicIs(/^iret/)(s)) return false;
      const [ours, theirs] = both;
      return ((ours.eflags ^ theirs.eflags) & ~VIF_VIP) === 0 && (ours.eflags & VIF_VIP) !== 0;
    },
  },
  {
    id: 'qemu-lock',
    title: 'LOCK before an instruction that cannot be locked',
    manual: '#UD (SDM vol. 2, LOCK).',
    does: { startup32: '#UD', bochs: '#UD', qemu: 'ignores the prefix before some of them' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      vectorOf(s.ours) === INVALID_OPCODE &&
      hasByte(s.oracleCase, LOCK) &&
      topicIs(/^(control\/lock|segment-access)/)(s),
  },
  {
    id: 'qemu-xsetbv',
    title: 'XSETBV outside ring 0 with CR4.OSXSAVE = 0',
    manual:
      '#UD when CR4.OSXSAVE = 0 (SDM vol. 2, XSETBV); undefined opcodes come before privilege checks (vol. 3, table 6-2).',
    does: { startup32: '#UD', bochs: '#UD', qemu: '#GP(0)' },
    wrong: ['qemu'],
    matches: s => s.oracle === 'qemu' && s.confirmed && s.oracleCase.topic === 'xsetbv',
  },
  {
    id: 'qemu-vme',
    title: 'CLI, STI, PUSHF, POPF, INT n and IRET in virtual-8086 mode with IOPL < 3 and CR4.VME = 1',
    manual: 'With 16-bit operands they act on VIF instead of IF and do not fault (SDM vol. 3, 20.3).',
    does: { startup32: 'as the manual says', bochs: 'as the manual says', qemu: '#GP(0), as without VME' },
    wrong: ['qemu'],
    matches: s =>
      s.oracle === 'qemu' &&
      s.confirmed &&
      (s.oracleCase.cr4 & CR4_VME) !== 0 &&
      vectorOf(s.theirs) === GENERAL_PROTECTION &&
      topicIs(/^vm86\/(cli|sti|pushf|popf|int|iret)$/)(s),
  },
];
