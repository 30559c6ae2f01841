/** The privilege rules against the SDM: conditions, results, encodings. */
import { describe, expect, it } from 'vitest';
import {
  findRule,
  type Outcome,
  PRIVILEGE_RULES,
  type PrivilegeContext,
  resultOf,
  ruleOfInstruction,
} from '../../emulator/privilege/index.ts';
import { unmatchedOpcodes } from '../../emulator/privilege/opcodes.ts';
import { ASSEMBLED, ORDINARY } from '../support/assembled.ts';

const VME = 1 << 0;
const PVI = 1 << 1;
const TSD = 1 << 2;
const PCE = 1 << 8;
const UMIP = 1 << 11;
const VMXE = 1 << 13;
const SMXE = 1 << 14;
const OSXSAVE = 1 << 18;

const context = (given: Partial<PrivilegeContext> = {}): PrivilegeContext => ({
  cpl: 0,
  iopl: 0,
  cr0: 0x11,
  cr4: 0,
  vm86: false,
  ...given,
});

const AS_ASKED: Outcome = { kind: 'as-asked' };
const SILENT: Outcome = { kind: 'silent' };
const GP: Outcome = { kind: 'fault', vector: 13, errorCode: 0 };
const UD: Outcome = { kind: 'fault', vector: 6 };

const outcome = (id: string, given: Partial<PrivilegeContext> = {}): Outcome | undefined =>
  findRule(id)?.outcome(context(given));

const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.split(' '), byte => Number.parseInt(byte, 16));

const CONTEXTS: readonly PrivilegeContext[] = ([0, 1, 2, 3] as const).flatMap(cpl =>
  [0, 1, 2, 3].flatMap(iopl =>
    [0, VME, PVI, TSD, PCE, UMIP, VMXE, SMXE, OSXSAVE, VME | PVI | UMIP].flatMap(cr4 =>
      [false, true].flatMap(vm86 =>
        vm86 && cpl !== 3
          ? []
          : ([16, 32] as const).map(operandSize => context({ cpl, iopl, cr4, vm86, operandSize })),
      ),
    ),
  ),
);

describe('the table', () => {
  it('names every rule once', () => {
    const ids = PRIVILEGE_RULES.map(rule => rule.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('has the seventeen silent instructions of Robin and Irvine (USENIX Security 2000)', () => {
    const seventeen =
      'sgdt sidt sldt smsw pushf popf lar lsl verr verw pop-segment push-segment far-call far-jump int far-return str mov-from-segment mov-to-segment';
    for (const id of seventeen.split(' ')) expect(findRule(id)?.class, id).toBe('silent');
  });

  describe.each(PRIVILEGE_RULES.map(rule => [rule.id, rule] as const))('%s', (_, rule) => {
    it('decides in every mode', () => {
      for (const each of CONTEXTS) expect(['as-asked', 'silent', 'fault']).toContain(rule.outcome(each).kind);
    });

    it('has only conditions that can decide', () => {
      const more = CONTEXTS.flatMap(each => [
        each,
        { ...each, virtualInterruptPending: true },
        { ...each, ioBitmap: 'allows' as const },
        { ...each, sysenterCs: 0 },
        { ...each, efer: 1 << 12 },
        { ...each, vmxOperation: true },
      ]);
      const deciding = new Set(more.map(each => resultOf(rule, each)));
      expect(rule.results.filter(result => !deciding.has(result)).map(({ when }) => when)).toEqual([]);
    });

    it('has whole sentences and a citation', () => {
      expect(rule.reason).toMatch(/^[A-Z].*\.$/);
      if (rule.operands) expect(rule.operands).toMatch(/^[A-Z].*\.$/);
      expect(rule.citation).toMatch(/^(SDM|AMD APM) vol\. [1-4]/);
      expect(rule.forms.length).toBeGreaterThan(0);
    });

    if (rule.class === 'silent') {
      it('raises no fault in protected mode without UMIP and with its registers set up', () => {
        for (const cpl of [0, 1, 2, 3] as const) {
          const { kind } = rule.outcome(context({ cpl, cr4: OSXSAVE }));
          expect(kind).toBe(cpl === 0 ? 'as-asked' : 'silent');
        }
      });
    }
  });
});

describe('privileged instructions (SDM vol. 3, 5.9)', () => {
  it.each(
    'lgdt lidt lldt ltr mov-to-cr mov-from-cr lmsw clts mov-to-dr mov-from-dr invd wbinvd invlpg hlt rdmsr wrmsr sysexit'.split(
      ' ',
    ),
  )('%s is #GP(0) at CPL 1, 2 and 3, whatever IOPL is', id => {
    for (const iopl of [0, 3]) {
      expect(outcome(id, { iopl })).toEqual(AS_ASKED);
      for (const cpl of [1, 2, 3] as const) expect(outcome(id, { cpl, iopl })).toEqual(GP);
    }
  });

  it('rdtsc is #GP(0) outside ring 0 where CR4.TSD is set, rdpmc where CR4.PCE is clear', () => {
    expect(outcome('rdtsc', { cpl: 3 })).toEqual(AS_ASKED);
    expect(outcome('rdtsc', { cpl: 3, cr4: TSD })).toEqual(GP);
    expect(outcome('rdtsc', { cr4: TSD })).toEqual(AS_ASKED);
    expect(outcome('rdpmc', { cpl: 3, cr4: PCE })).toEqual(AS_ASKED);
    expect(outcome('rdpmc', { cpl: 3 })).toEqual(GP);
    expect(outcome('rdpmc')).toEqual(AS_ASKED);
  });

  it.each(['monitor', 'mwait', 'clac', 'stac'])('%s is #UD outside ring 0', id => {
    expect(outcome(id)).toEqual(AS_ASKED);
    expect(outcome(id, { cpl: 1 })).toEqual(UD);
  });

  it.each(['rsm', 'vmcall', 'vmmcall', 'vmfunc', 'mov-test-register', 'syscall', 'sysret'])(
    '%s is #UD in every ring',
    id => {
      for (const cpl of [0, 1, 3] as const) expect(outcome(id, { cpl })).toEqual(UD);
    },
  );

  it('vmxon is #UD while CR4.VMXE is clear, then #GP(0) outside ring 0 (SDM vol. 3, 30.3)', () => {
    expect(outcome('vmxon')).toEqual(UD);
    expect(outcome('vmxon', { cpl: 3 })).toEqual(UD);
    expect(outcome('vmxon', { cr4: VMXE })).toEqual(AS_ASKED);
    expect(outcome('vmxon', { cr4: VMXE, cpl: 1 })).toEqual(GP);
  });

  it('the other instructions of VMX are #UD outside VMX operation, then #GP(0) outside ring 0 (SDM vol. 3, 30.3)', () => {
    for (const cpl of [0, 3] as const) {
      expect(outcome('vmx', { cpl })).toEqual(UD);
      expect(outcome('vmx', { cpl, cr4: VMXE })).toEqual(UD);
    }
    expect(outcome('vmx', { cr4: VMXE, vmxOperation: true })).toEqual(AS_ASKED);
    expect(outcome('vmx', { cr4: VMXE, vmxOperation: true, cpl: 3 })).toEqual(GP);
  });

  it('invpcid is #GP(0) outside ring 0, xsaves and xrstors #UD before that while CR4.OSXSAVE is clear', () => {
    expect(outcome('invpcid')).toEqual(AS_ASKED);
    expect(outcome('invpcid', { cpl: 1 })).toEqual(GP);
    expect(outcome('invpcid', { cpl: 3, vm86: true })).toEqual(GP);
    for (const id of ['xsaves', 'xrstors']) {
      expect(outcome(id, { cpl: 1 })).toEqual(UD);
      expect(outcome(id, { cpl: 1, cr4: OSXSAVE })).toEqual(GP);
      expect(outcome(id, { cr4: OSXSAVE })).toEqual(AS_ASKED);
    }
  });

  it('encls is #UD outside ring 0; getsec is #UD while CR4.SMXE is clear, then #GP(0)', () => {
    expect(outcome('encls')).toEqual(AS_ASKED);
    expect(outcome('encls', { cpl: 1 })).toEqual(UD);
    expect(outcome('getsec')).toEqual(UD);
    expect(outcome('getsec', { cr4: SMXE })).toEqual(AS_ASKED);
    expect(outcome('getsec', { cr4: SMXE, cpl: 1 })).toEqual(GP);
  });

  it('the instructions of SVM are #UD while EFER.SVME is clear, then #GP(0) outside ring 0', () => {
    expect(outcome('svm')).toEqual(UD);
    expect(outcome('svm', { efer: 1 << 12 })).toEqual(AS_ASKED);
    expect(outcome('svm', { efer: 1 << 12, cpl: 3 })).toEqual(GP);
  });

  it('xsetbv and xgetbv are #UD while CR4.OSXSAVE is clear', () => {
    expect(outcome('xsetbv')).toEqual(UD);
    expect(outcome('xsetbv', { cpl: 3 })).toEqual(UD);
    expect(outcome('xsetbv', { cr4: OSXSAVE })).toEqual(AS_ASKED);
    expect(outcome('xsetbv', { cr4: OSXSAVE, cpl: 1 })).toEqual(GP);
    expect(outcome('xgetbv')).toEqual(UD);
    expect(outcome('xgetbv', { cr4: OSXSAVE, cpl: 3 })).toEqual(SILENT);
  });

  it('sysenter and sysexit are #GP(0) while IA32_SYSENTER_CS is null, whatever its RPL', () => {
    for (const sysenterCs of [0, 3]) {
      expect(outcome('sysenter', { sysenterCs })).toEqual(GP);
      expect(outcome('sysenter', { sysenterCs, cpl: 3 })).toEqual(GP);
      expect(outcome('sysexit', { sysenterCs })).toEqual(GP);
    }
    expect(outcome('sysenter', { sysenterCs: 0x10, cpl: 3 })).toEqual(SILENT);
    expect(outcome('sysexit', { sysenterCs: 0x10 })).toEqual(AS_ASKED);
    expect(outcome('sysexit', { sysenterCs: 0x10, cpl: 3 })).toEqual(GP);
  });
});

describe('the IOPL group (SDM vol. 1, 19.5.1)', () => {
  it.each(['cli', 'sti', 'in', 'out', 'ins', 'outs'])('%s needs CPL <= IOPL', id => {
    for (const cpl of [0, 1, 2, 3] as const) {
      for (const iopl of [0, 1, 2, 3])
        expect(outcome(id, { cpl, iopl })).toEqual(cpl <= iopl ? AS_ASKED : GP);
    }
  });

  it('ports are open where the I/O bitmap says so', () => {
    expect(outcome('in', { cpl: 3, ioBitmap: 'allows' })).toEqual(AS_ASKED);
    expect(outcome('in', { cpl: 3, ioBitmap: 'denies' })).toEqual(GP);
  });

  it('in virtual-8086 mode the I/O bitmap decides even at IOPL 3 (SDM vol. 1, 19.5.2)', () => {
    expect(outcome('out', { cpl: 3, iopl: 3, vm86: true })).toEqual(GP);
    expect(outcome('out', { cpl: 3, iopl: 3, vm86: true, ioBitmap: 'allows' })).toEqual(AS_ASKED);
  });

  it.each([
    [3, PVI, SILENT],
    [2, PVI, GP],
    [1, PVI, GP],
    [3, VME, GP],
    [3, 0, GP],
  ] as const)('cli and sti at CPL %i with CR4 %i (SDM vol. 3, 20.4)', (cpl, cr4, expected) => {
    expect(outcome('cli', { cpl, cr4 })).toEqual(expected);
    expect(outcome('sti', { cpl, cr4 })).toEqual(expected);
  });

  it('sti with VIP set is #GP(0) where it would set VIF, and cli is not', () => {
    for (const given of [
      { cpl: 3, cr4: PVI },
      { cpl: 3, cr4: VME, vm86: true },
    ] as const) {
      expect(outcome('sti', { ...given, virtualInterruptPending: true })).toEqual(GP);
      expect(outcome('cli', { ...given, virtualInterruptPending: true })).toEqual(SILENT);
    }
    expect(outcome('sti', { cpl: 3, iopl: 3, cr4: PVI, virtualInterruptPending: true })).toEqual(AS_ASKED);
  });

  it.each([
    [3, 0, AS_ASKED],
    [3, VME, AS_ASKED],
    [0, VME, SILENT],
    [0, 0, GP],
    [0, PVI, GP],
  ] as const)(
    'cli in virtual-8086 mode with IOPL %i and CR4 %i (SDM vol. 3, 20.2.7)',
    (iopl, cr4, expected) => {
      expect(outcome('cli', { cpl: 3, iopl, cr4, vm86: true })).toEqual(expected);
    },
  );
});

describe('flags (SDM vol. 2, POPF, PUSHF, IRET)', () => {
  it('popf and iret lose IOPL in rings 1 to 3, and IF where CPL > IOPL, without a fault', () => {
    for (const id of ['popf', 'iret']) {
      expect(outcome(id)).toEqual(AS_ASKED);
      for (const cpl of [1, 2, 3] as const) {
        expect(outcome(id, { cpl, iopl: 3 })).toEqual(SILENT);
        expect(outcome(id, { cpl })).toEqual(SILENT);
      }
      const rule = findRule(id);
      expect(rule && resultOf(rule, context({ cpl: 1, iopl: 1 })).effect).toBe(
        'no fault: IF changes; IOPL keeps its value',
      );
      expect(rule && resultOf(rule, context({ cpl: 1 })).effect).toBe(
        'no fault: IF and IOPL keep their values',
      );
    }
  });

  it('CR4.PVI changes nothing for popf', () => {
    expect(outcome('popf', { cpl: 3, cr4: PVI })).toEqual(SILENT);
  });

  it.each(['popf', 'pushf', 'iret'])(
    '%s in virtual-8086 mode with IOPL < 3 is #GP(0), but with VME and operand size 16',
    id => {
      const vm86 = { cpl: 3, vm86: true } as const;
      expect(outcome(id, { ...vm86, iopl: 3 })).toEqual(SILENT);
      expect(outcome(id, { ...vm86, operandSize: 16 })).toEqual(GP);
      expect(outcome(id, { ...vm86, operandSize: 32 })).toEqual(GP);
      expect(outcome(id, { ...vm86, cr4: VME, operandSize: 16 })).toEqual(SILENT);
      expect(outcome(id, { ...vm86, cr4: VME, operandSize: 32 })).toEqual(GP);
    },
  );

  it('int n in virtual-8086 mode with IOPL < 3 is #GP(0) without VME', () => {
    expect(outcome('int', { cpl: 3, vm86: true })).toEqual(GP);
    expect(outcome('int', { cpl: 3, vm86: true, cr4: VME })).toEqual(SILENT);
    expect(outcome('int', { cpl: 3, vm86: true, iopl: 3 })).toEqual(AS_ASKED);
  });
});

describe('what shows the machine', () => {
  it.each(['sgdt', 'sidt', 'smsw', 'sldt', 'str'])('%s is #GP(0) under CR4.UMIP outside ring 0', id => {
    expect(outcome(id, { cr4: UMIP })).toEqual(AS_ASKED);
    expect(outcome(id, { cpl: 1, cr4: UMIP })).toEqual(GP);
    expect(outcome(id, { cpl: 1 })).toEqual(SILENT);
  });

  it.each(['sldt', 'str', 'lldt', 'ltr', 'lar', 'lsl', 'verr', 'verw'])(
    '%s is #UD in virtual-8086 mode',
    id => {
      expect(outcome(id, { cpl: 3, vm86: true, cr4: UMIP })).toEqual(UD);
    },
  );

  it.each(['lgdt', 'lidt', 'mov-to-cr', 'hlt'])('%s is #GP(0) in virtual-8086 mode, as at CPL 3', id => {
    expect(outcome(id, { cpl: 3, vm86: true })).toEqual(GP);
  });
});

/** `NP 0F C7 /6`, `66 0F 38 80 /r`, `0F 22 /r`, `E4 ib`: whether bytes are of that form, behind prefixes. */
function isOfForm(opcode: string, code: Uint8Array): boolean {
  const parts = opcode.split(' ').filter(part => part !== 'NP');
  const fixed = parts.filter(part => /^[0-9A-F]{2}$/.test(part)).map(part => Number.parseInt(part, 16));
  const digit = parts.map(part => /^\/([0-7])$/.exec(part)?.[1]).find(found => found !== undefined);
  // An operand-size or a repeat prefix that is not part of the opcode.
  const start = [0x66, 0xf2, 0xf3].includes(code[0] ?? 0) && code[0] !== fixed[0] ? 1 : 0;
  const rest = code.subarray(start);
  if (!fixed.every((byte, i) => rest[i] === byte)) return false;
  return digit === undefined || (((rest[fixed.length] ?? 0) >>> 3) & 7) === Number(digit);
}

describe('encodings', () => {
  it('names only opcodes that the decoder has', () => {
    expect(unmatchedOpcodes()).toEqual([]);
  });

  // A task switch is a far transfer or an INT whose selector names a task.
  const encoded = PRIVILEGE_RULES.filter(rule => rule.id !== 'task-switch');

  it('has assembled samples of every rule', () => {
    expect(Object.keys(ASSEMBLED).sort()).toEqual(encoded.map(rule => rule.id).sort());
  });

  describe.each(encoded.map(rule => [rule.id, rule] as const))('%s', (id, rule) => {
    const samples = ASSEMBLED[id] ?? [];

    it.each(samples)('%s (%s) falls under it', (_, hex) => {
      const code = bytes(hex);
      expect(ruleOfInstruction(code)).toEqual({ rule: id, length: code.length });
    });

    it.each(samples)('%s (%s) is one of its forms', (_, hex) => {
      expect(rule.forms.some(({ opcode }) => isOfForm(opcode, bytes(hex)))).toBe(true);
    });

    it.each(rule.forms.map(({ opcode, syntax }) => [syntax, opcode] as const))(
      '%s (%s) has a sample',
      (_, opcode) => {
        expect(samples.some(([, hex]) => isOfForm(opcode, bytes(hex)))).toBe(true);
      },
    );
  });

  it.each(ORDINARY)('%s (%s) falls under none', (_, hex) => {
    const code = bytes(hex);
    expect(ruleOfInstruction(code)).toEqual({ length: code.length, everyCpl: true });
  });

  it('reads nothing into bytes that are no whole instruction', () => {
    expect(ruleOfInstruction(bytes('0f 01'))).toBeUndefined();
    expect(ruleOfInstruction(bytes('ff ff'))).toBeUndefined();
    expect(ruleOfInstruction(new Uint8Array())).toBeUndefined();
  });

  it('decodes 16-bit code as such', () => {
    // GNU as, .code16: popf, and popfl with its prefix.
    expect(ruleOfInstruction(bytes('9d'), 16)).toEqual({ rule: 'popf', length: 1 });
    expect(ruleOfInstruction(bytes('66 9d'), 16)).toEqual({ rule: 'popf', length: 2 });
  });
});
