/**
 * What each host does at a Stop. Expected: facts of the hosts' own sources (Linux drivers/lguest/x86/core.c, Xen 4.14
 * emul-priv-op.c) and, for the monitor, what the SDM says the instruction does in ring 0.
 */
import { describe, expect, it } from 'vitest';
import {
  type Answer,
  answerOf,
  carriesOut,
  hostOf,
  virtualCpu,
} from '../../../boot-protocols/hosts/answers.ts';
import { HOST_NAMES, type HostName, hostAnswer } from '../../../boot-protocols/hosts/index.ts';
import type { CpuState } from '../../../emulator/cpu-state.ts';
import type { Platform } from '../../../emulator/entry-state.ts';
import { PRIVILEGE_RULES } from '../../../emulator/privilege/index.ts';
import { flatCode, flatData } from '../../../emulator/segmentation.ts';
import type { Exception, Stop, StopOf } from '../../../emulator/stop.ts';
import { ASSEMBLED } from '../../support/assembled.ts';
import { bytes, common, cpuState, entryState, STOPS } from '../../support/stops.ts';

type Memory = Readonly<Record<number, string>>;

/** A host's answer, with memory given as listings by linear address; everything else reads as zero. */
function answer(
  host: HostName,
  stop: Stop,
  options: { memory?: Memory; era?: string; msr?: bigint; interrupts?: boolean; platform?: Platform } = {},
): Answer {
  const { memory = {}, era = '4.13', msr = 0n, interrupts = true } = options;
  const entry = { ...entryState(), ...(options.platform && { platform: options.platform }) };
  return answerOf(host, stop, {
    entry,
    virtual: { ...virtualCpu(entry), interrupts },
    era,
    read(linear, size) {
      const result = new Uint8Array(size);
      for (const [start, text] of Object.entries(memory)) {
        for (const [i, byte] of bytes(text).entries()) {
          const at = Number(start) + i - linear;
          if (at >= 0 && at < size) result[at] = byte;
        }
      }
      return result;
    },
    readMsr: () => msr,
  });
}

const GP0: Exception = { vector: 13, errorCode: 0 };

const privileged = (
  rule: string,
  hex: string,
  cpu: Partial<CpuState> = {},
): StopOf<'privileged-instruction'> => ({
  kind: 'privileged-instruction',
  rule,
  ...common(hex, cpu),
  exception: GP0,
});

const sensitive = (
  rule: string,
  hex: string,
  cpu: Partial<CpuState> = {},
): StopOf<'iopl-sensitive-instruction'> => ({
  kind: 'iopl-sensitive-instruction',
  rule,
  ...common(hex, cpu),
  exception: GP0,
});

const withRegisters = (registers: Partial<CpuState['registers']>): Partial<CpuState> => ({
  registers: { ...cpuState().registers, ...registers },
});

const effectOf = ({ continuation }: Answer) =>
  continuation && continuation.type !== 'let-pass' ? continuation.effect : undefined;

describe('the tables and the answers', () => {
  const trapping = PRIVILEGE_RULES.filter(
    rule => rule.class !== 'silent' && ASSEMBLED[rule.id] !== undefined,
  );
  // Stops of another kind: hypercalls, and what no CPU model has (#UD in ring 0 too).
  const others = new Set([
    'vmcall',
    'vmmcall',
    'vmx',
    'vmxon',
    'vmfunc',
    'invpcid',
    'xsaves',
    'xrstors',
    'getsec',
    'encls',
    'syscall',
    'sysret',
    'svm',
    'sysexit',
    'mov-test-register',
    'rsm',
    'xsetbv',
  ]);
  const cases = HOST_NAMES.flatMap(host =>
    trapping.filter(({ id }) => !others.has(id)).map(rule => ({ host, rule })),
  );

  it.each(cases)('$host: $rule.id', ({ host, rule }) => {
    for (const [, hex] of ASSEMBLED[rule.id] ?? []) {
      const stop = rule.class === 'privileged' ? privileged(rule.id, hex) : sensitive(rule.id, hex);
      const { kind, detail, sentence } = answer(host, stop);
      const table = hostAnswer(host, rule.id);
      // A MOV to CR0 or CR3 may be refused for its value, and an operand may name nothing that can be loaded.
      const refused = ['mov-to-cr', 'lmsw', 'ltr', 'lldt'].includes(rule.id) && table.does === 'emulate';
      const allowed = carriesOut(table.does, kind) || (refused && ['killed', 'unanswered'].includes(kind));
      expect({ kind, allowed }, detail ?? sentence).toEqual({ kind, allowed: true });
    }
  });

  it('speak in the words of the table where they agree', () => {
    const { sentence, citation } = answer('monitor', sensitive('cli', 'fa'));
    expect({ sentence, citation }).toEqual({
      sentence: hostAnswer('monitor', 'cli').sentence,
      citation: hostAnswer('monitor', 'cli').citation,
    });
  });
});

it('is the host of the protocol that answers, where there is one', () => {
  expect(['xen', 'lguest', 'pc', 'contract'].map(hostOf)).toEqual(['xen', 'lguest', 'skip', 'skip']);
});

describe('skip', () => {
  it('steps over what traps and changes nothing', () => {
    expect(answer('skip', privileged('lgdt', '0f 01 15 20 01 10 00'))).toMatchObject({
      kind: 'skipped',
      continuation: { type: 'done', effect: {} },
    });
  });

  it('has no answer to a page fault, to bytes that are no instruction, or to a hypercall', () => {
    for (const kind of ['page-fault', 'invalid-opcode', 'forced-emulation', 'hypercall'] as const) {
      expect(answer('skip', STOPS[kind]).continuation).toBeUndefined();
    }
  });

  it('lets a popf pass that loses flags: nothing traps', () => {
    expect(answer('skip', STOPS.popf)).toMatchObject({ kind: 'passed', continuation: { type: 'let-pass' } });
  });
});

describe('lguest', () => {
  // drivers/lguest/x86/core.c, emulate_insn: `cli` since 5094aeafbbd (2.6.34).
  it('steps over cli since 2.6.34, and kills before', () => {
    const cli = sensitive('cli', 'fa');
    expect(answer('lguest', cli, { era: '4.13' }).kind).toBe('skipped');
    expect(answer('lguest', cli, { era: '2.6.34' }).kind).toBe('skipped');
    expect(answer('lguest', cli, { era: '2.6.33' }).kind).toBe('killed');
  });

  it.each([
    // in al,dx; in eax,dx; 66 in ax,dx. 2.6.23: a byte sets 16 bits, everything else 32.
    ['2.6.23', 'ec', 0x1234ffff],
    ['2.6.23', 'ed', 0xffffffff],
    ['2.6.38', 'ec', 0x1234ffff],
    ['2.6.39', 'ec', 0x123456ff],
    ['4.13', 'ec', 0x123456ff],
    ['4.13', '66 ed', 0x1234ffff],
    ['4.13', 'ed', 0xffffffff],
  ])('of Linux %s answers `in` (%s) with ones: EAX %#x', (era, hex, eax) => {
    const stop = sensitive('in', hex, withRegisters({ eax: 0x12345678, edx: 0x3fd }));
    expect(effectOf(answer('lguest', stop, { era }))).toEqual({ registers: { eax } });
  });

  it('of Linux 4.13 answers port 0x64 with 1: the launcher plays a keyboard controller', () => {
    const stop = sensitive('in', 'e4 64', withRegisters({ eax: 0x100 }));
    expect(effectOf(answer('lguest', stop))).toEqual({ registers: { eax: 0x101 } });
    expect(effectOf(answer('lguest', stop, { era: '3.18' }))).toEqual({ registers: { eax: 0x1ff } });
  });

  it('ignores out, and kills for everything else that traps', () => {
    expect(effectOf(answer('lguest', sensitive('out', 'ee')))).toEqual({});
    for (const stop of [
      sensitive('sti', 'fb'),
      privileged('lidt', '0f 01 1d 00 10 00 00'),
      STOPS['page-fault'],
    ]) {
      expect(answer('lguest', stop).kind).toBe('killed');
    }
  });
});

describe('xen', () => {
  it('emulates clts: it clears TS and nothing else', () => {
    const control = { ...cpuState().control, cr0: 0x8000003b };
    expect(effectOf(answer('xen', privileged('clts', '0f 06', { control })))).toEqual({
      control: { cr0: 0x80000033 },
    });
  });

  it('takes CR0 when only TS changes, and crashes a domain without a trap table for any other change', () => {
    const write = (eax: number) => privileged('mov-to-cr', '0f 22 c0', withRegisters({ eax }));
    expect(effectOf(answer('xen', write(0x80000019)))).toEqual({ control: { cr0: 0x80000019 } });
    expect(answer('xen', write(0x80010011)).kind).toBe('killed');
  });

  it('masks CR4 to TSD and DE without a fault', () => {
    const stop = privileged('mov-to-cr', '0f 22 e0', withRegisters({ eax: 0x6fc }));
    expect(effectOf(answer('xen', stop))).toEqual({ control: { cr4: 0xc } });
  });

  it('gives CR3 as a frame number whose upper bits stand below', () => {
    const control = { ...cpuState().control, cr3: 0x3ffe000 };
    expect(effectOf(answer('xen', privileged('mov-from-cr', '0f 20 d8', { control })))).toEqual({
      registers: { eax: 0x3ffe000 },
    });
  });

  it('drops wrmsr and answers rdmsr', () => {
    expect(effectOf(answer('xen', privileged('wrmsr', '0f 30', withRegisters({ ecx: 0x8b }))))).toEqual({});
    const read = privileged('rdmsr', '0f 32', withRegisters({ ecx: 0x8b }));
    expect(effectOf(answer('xen', read, { msr: 0x1122334455667788n }))).toEqual({
      registers: { eax: 0x55667788, edx: 0x11223344 },
    });
  });

  it('answers cpuid behind its prefix with its own leaves, and goes on behind both', () => {
    const model = { ...entryState().platform, cpuModel: 'i686-hv' };
    const stop: Stop = {
      ...STOPS['forced-emulation'],
      ...common('0f 0b', withRegisters({ eax: 0x40000000, ecx: 0 })),
      exception: { vector: 6 },
    };
    // xen/include/public/arch-x86/cpuid.h: "XenVMMXenVMM". 5 bytes of prefix and 2 of cpuid.
    expect(effectOf(answer('xen', stop, { platform: model }))).toEqual({
      registers: { eax: 0x40000005, ebx: 0x566e6558, ecx: 0x65584d4d, edx: 0x4d4d566e },
      eip: stop.cpu.eip + 7,
    });
  });

  it('injects cli, hlt, lgdt, ports and segment loads into a trap table that is not there', () => {
    for (const stop of [
      sensitive('cli', 'fa'),
      sensitive('in', 'ec'),
      privileged('hlt', 'f4'),
      privileged('lgdt', '0f 01 15 20 01 10 00'),
      STOPS['segment-load'],
    ]) {
      expect(answer('xen', stop)).toMatchObject({ kind: 'killed' });
    }
  });
});

/** A GDT at 0x8000: null, 0x08 code, 0x10 data, both flat with DPL 0 and not accessed. */
const GDT: Memory = { 32776: 'ff ff 00 00 00 9a cf 00', 32784: 'ff ff 00 00 00 92 cf 00' };
const OWN_GDT = { gdtr: { base: 0x8000, limit: 0x17 } };

const load = (
  register: StopOf<'segment-load'>['register'],
  selector: number,
  hex: string,
  cpu: Partial<CpuState>,
): StopOf<'segment-load'> => ({
  kind: 'segment-load',
  register,
  selector,
  problem: 'privilege',
  ...common(hex, { ...OWN_GDT, ...cpu }),
  exception: { vector: 13, errorCode: selector & 0xfffc },
});

describe('monitor', () => {
  it('keeps a virtual IF for cli and sti', () => {
    expect(answer('monitor', sensitive('cli', 'fa')).virtual?.interrupts).toBe(false);
    expect(answer('monitor', sensitive('sti', 'fb'), { interrupts: false }).virtual?.interrupts).toBe(true);
  });

  it('loads GDTR from the pseudo-descriptor: limit, then base; 24 bits of it with a 16-bit operand', () => {
    const memory = { 1048864: '1f 00 28 01 10 12' };
    expect(effectOf(answer('monitor', privileged('lgdt', '0f 01 15 20 01 10 00'), { memory }))).toEqual({
      gdtr: { base: 0x12100128, limit: 0x1f },
    });
    expect(effectOf(answer('monitor', privileged('lgdt', '66 0f 01 15 20 01 10 00'), { memory }))).toEqual({
      gdtr: { base: 0x100128, limit: 0x1f },
    });
  });

  it('loads a DPL 0 descriptor into DS with the DPL of the ring, and marks it accessed', () => {
    const found = answer('monitor', load('ds', 0x10, '8e d8', {}), { memory: GDT });
    expect(effectOf(found)).toEqual({
      segments: { ds: { selector: 0x10, descriptor: flatData(1) } },
      writes: [{ linear: 0x8015, bytes: Uint8Array.of(0x93) }],
    });
  });

  it('loads SS and CS with the RPL of the ring', () => {
    const ss = answer('monitor', load('ss', 0x10, '8e d0', {}), { memory: GDT });
    expect(effectOf(ss)?.segments?.ss).toEqual({ selector: 0x11, descriptor: flatData(1) });
    const jump = answer('monitor', load('cs', 0x08, 'ea 00 00 10 00 08 00', {}), { memory: GDT });
    expect(effectOf(jump)).toMatchObject({
      eip: 0x100000,
      segments: { cs: { selector: 0x09, descriptor: flatCode(1) } },
    });
  });

  it('pops a segment register, and its slot', () => {
    const found = answer('monitor', load('es', 0x10, '07', withRegisters({ esp: 0x7000 })), { memory: GDT });
    expect(effectOf(found)?.registers).toEqual({ esp: 0x7004 });
  });

  it('refuses what a bare CPU refuses too: without an IDT the guest shuts down', () => {
    expect(answer('monitor', load('ss', 0x08, '8e d0', {}), { memory: GDT }).kind).toBe('killed');
    expect(answer('monitor', privileged('mov-to-cr', '0f 22 e0', withRegisters({ eax: 0x800 }))).kind).toBe(
      'killed',
    );
  });

  it('returns with iret: EIP, CS and EFLAGS from the frame, virtual IF as it asks, the real one as it was', () => {
    const stop = load('cs', 0x08, 'cf', withRegisters({ esp: 0x7000 }));
    const memory = { ...GDT, 28672: '00 20 00 00 08 00 00 00 41 02 00 00' };
    const found = answer('monitor', stop, { memory, interrupts: false });
    expect(effectOf(found)).toMatchObject({ eip: 0x2000, eflags: 0x43, registers: { esp: 0x700c } });
    expect(found.virtual?.interrupts).toBe(true);
  });

  it('delivers an exception through an interrupt gate: EFLAGS with virtual IF, CS with RPL 0, EIP, error code', () => {
    const stop: Stop = {
      ...STOPS['segment-access'],
      ...common('64 a1 00 00 00 00', {
        ...OWN_GDT,
        ...withRegisters({ esp: 0x7000 }),
        idtr: { base: 0x6000, limit: 0x7f },
      }),
      exception: GP0,
    };
    // Vector 13 at 0x6068: 0x08:0x00101234, type 0xe, present, DPL 0.
    const memory = { ...GDT, 24680: '34 12 08 00 00 8e 10 00' };
    const found = answer('monitor', stop, { memory });
    expect(found.kind).toBe('reflected');
    expect(found.continuation?.type).toBe('delivered');
    expect(effectOf(found)).toMatchObject({
      eip: 0x101234,
      registers: { esp: 0x6ff0 },
      segments: { cs: { selector: 0x09, descriptor: flatCode(1) } },
      writes: [
        { linear: 0x6ffc, bytes: bytes('02 02 00 00') },
        { linear: 0x6ff8, bytes: bytes('60 00 00 00') },
        { linear: 0x6ff4, bytes: bytes('01 00 10 00') },
        { linear: 0x6ff0, bytes: bytes('00 00 00 00') },
      ],
    });
    expect(found.virtual?.interrupts).toBe(false);
  });

  it('delivers int n with the address behind it, whatever the DPL of the gate', () => {
    const stop: Stop = {
      kind: 'software-interrupt',
      vector: 0x0d,
      ...common('cd 0d', {
        ...OWN_GDT,
        ...withRegisters({ esp: 0x7000 }),
        idtr: { base: 0x6000, limit: 0x7f },
      }),
      exception: { vector: 13, errorCode: 0x6a },
    };
    const found = answer('monitor', stop, { memory: { ...GDT, 24680: '34 12 08 00 00 8f 10 00' } });
    expect(effectOf(found)?.writes?.at(-1)).toEqual({ linear: 0x6ff4, bytes: bytes('03 00 10 00') });
    // A trap gate leaves IF as it is.
    expect(found.virtual?.interrupts).toBe(true);
  });

  it('ends at hlt', () => {
    expect(answer('monitor', privileged('hlt', 'f4'), { interrupts: false })).toMatchObject({
      kind: 'ended',
    });
  });
});

describe('instructions that CR4.UMIP makes privileged: SDM vol. 3, 2.5', () => {
  const umip = { control: { ...cpuState().control, cr0: 0x80000011, cr4: 0x800 } };

  it('are emulated by a monitor, which shows the virtual CPU', () => {
    const smsw = answer('monitor', privileged('smsw', '0f 01 e3', umip));
    expect(smsw.kind).toBe('emulated');
    expect(effectOf(smsw)?.registers).toEqual({ ebx: 0x80000011 });
    expect(smsw.sentence).toContain('CR4.UMIP makes it trap');
    const sgdt = answer('monitor', privileged('sgdt', '0f 01 05 00 20 00 00', umip));
    expect(effectOf(sgdt)?.writes).toEqual([{ linear: 0x2000, bytes: bytes('7f 00 00 f0 ff 03') }]);
    const sldt = answer('monitor', privileged('sldt', '66 0f 00 c1', umip));
    expect(effectOf(sldt)?.registers).toEqual({ ecx: 0xdead0000 });
    const str = answer('monitor', privileged('str', '0f 00 0d 00 20 00 00', umip));
    expect(effectOf(str)?.writes).toEqual([{ linear: 0x2000, bytes: bytes('00 00') }]);
    expect(answer('monitor', privileged('sidt', '0f 01 0d 00 20 00 00', umip)).kind).toBe('emulated');
  });

  it('are stepped over by skip, and kill a guest of lguest', () => {
    expect(answer('skip', privileged('smsw', '0f 01 e3', umip)).sentence).toMatch(
      /^The instruction is stepped over/,
    );
    expect(answer('lguest', privileged('smsw', '0f 01 e3', umip)).kind).toBe('killed');
  });
});

it('does not step over a single step: SDM vol. 3, 17.3.1.4', () => {
  const stop: Stop = { kind: 'exception', ...common('90', { eflags: 0x102 }), exception: { vector: 1 } };
  expect(answer('skip', stop)).toEqual({
    kind: 'unanswered',
    sentence:
      'EFLAGS.TF is set: the trap comes after an instruction, so there is none to step over, and it comes again after the next one.',
  });
});

it('says of a halt under skip that the kernel halts', () => {
  expect(answer('skip', privileged('hlt', 'f4'))).toEqual({
    kind: 'ended',
    sentence: 'The kernel halts, and no interrupt comes here.',
  });
});
