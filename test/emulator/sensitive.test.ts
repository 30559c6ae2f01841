import { describe, expect, it } from 'vitest';
import { findCpuModel } from '../../emulator/cpu-models/index.ts';
import { flatCode } from '../../emulator/segmentation.ts';
import { deliveryOf, evaluate } from '../../emulator/sensitive/index.ts';
import { GDT, IDT, type SituationOptions, STACK, situation } from '../support/situation.ts';

const decide = (options: SituationOptions): ReturnType<typeof evaluate> => evaluate(situation(options));
const GP0 = { vector: 13, errorCode: 0 };
const IOPL3 = 0x3000;

/** Opcodes as in SDM vol. 2; facts of the privilege list in vol. 3, 5.9. */
const PRIVILEGED: readonly (readonly [string, readonly number[]])[] = [
  ['lgdt', [0x0f, 0x01, 0x15, 0, 0x10, 0, 0]],
  ['lidt', [0x0f, 0x01, 0x1d, 0, 0x10, 0, 0]],
  ['lldt', [0x0f, 0x00, 0xd0]],
  ['ltr', [0x0f, 0x00, 0xd8]],
  ['lmsw', [0x0f, 0x01, 0xf0]],
  ['mov-to-cr', [0x0f, 0x22, 0xd8]],
  ['mov-from-cr', [0x0f, 0x20, 0xc0]],
  ['mov-to-dr', [0x0f, 0x23, 0xf8]],
  ['mov-from-dr', [0x0f, 0x21, 0xf8]],
  ['clts', [0x0f, 0x06]],
  ['invd', [0x0f, 0x08]],
  ['wbinvd', [0x0f, 0x09]],
  ['invlpg', [0x0f, 0x01, 0x38]],
  ['hlt', [0xf4]],
  ['rdmsr', [0x0f, 0x32]],
  ['wrmsr', [0x0f, 0x30]],
  ['rdpmc', [0x0f, 0x33]],
  ['sysexit', [0x0f, 0x35]],
];

describe('privileged instructions', () => {
  it.each(PRIVILEGED)('%s is #GP(0) in rings 1 to 3, whatever the IOPL', (rule, bytes) => {
    for (const ring of [1, 2, 3] as const) {
      expect(decide({ bytes, ring, eflags: 0x202 | IOPL3 })).toEqual({
        type: 'stop',
        cause: { kind: 'privileged-instruction', rule },
        exception: GP0,
      });
    }
  });

  it('hlt at CPL 0 is a halt', () => {
    expect(decide({ bytes: [0xf4], ring: 0 })).toMatchObject({
      cause: { kind: 'halt', interruptsEnabled: true },
    });
  });

  it('rdtsc is privileged with CR4.TSD only', () => {
    const bytes = [0x0f, 0x31];
    expect(decide({ bytes })).toEqual({ type: 'answer', effect: { registers: { eax: 1000, edx: 0 } } });
    const control = { cr0: 0x11, cr2: 0, cr3: 0, cr4: 4, efer: 0 };
    expect(decide({ bytes, cpu: { control } })).toMatchObject({
      cause: { kind: 'privileged-instruction', rule: 'rdtsc' },
    });
  });
});

describe('IOPL-sensitive instructions', () => {
  it.each([
    ['cli', [0xfa]],
    ['sti', [0xfb]],
  ])('%s is #GP(0) when CPL > IOPL and runs otherwise', (rule, bytes) => {
    expect(decide({ bytes })).toEqual({
      type: 'stop',
      cause: { kind: 'iopl-sensitive-instruction', rule },
      exception: GP0,
    });
    expect(decide({ bytes, eflags: 0x1202 })).toEqual({ type: 'run' });
    expect(decide({ bytes, ring: 3, eflags: 0x2202 })).toMatchObject({ type: 'stop' });
  });

  it.each([
    ['out', [0xee], { number: 0x3f8, size: 1, direction: 'out', value: 0x41 }],
    ['out', [0x66, 0xef], { number: 0x3f8, size: 2, direction: 'out', value: 0x5a41 }],
    ['out', [0xe7, 0x80], { number: 0x80, size: 4, direction: 'out', value: 0x12345a41 }],
    ['in', [0xec], { number: 0x3f8, size: 1, direction: 'in' }],
    ['in', [0xe5, 0x60], { number: 0x60, size: 4, direction: 'in' }],
    ['ins', [0xf3, 0x6c], { number: 0x3f8, size: 1, direction: 'in' }],
    ['outs', [0x66, 0x6f], { number: 0x3f8, size: 2, direction: 'out' }],
  ])('%s %j names its port', (rule, bytes, port) => {
    expect(decide({ bytes, registers: { edx: 0x3f8, eax: 0x12345a41 } })).toEqual({
      type: 'stop',
      cause: { kind: 'iopl-sensitive-instruction', rule, port },
      exception: GP0,
    });
  });

  it('ports are open where the TSS’s I/O permission bitmap has a 0', () => {
    const tr = {
      selector: 0x28,
      descriptor: {
        base: 0x2000,
        limit: 0x67 + 0x2000 + 1,
        type: 11,
        codeOrData: false,
        dpl: 0,
        present: true,
        available: false,
        long: false,
        big: false,
        granular: false,
      },
    };
    const memory = { 8292: 0x00680000, [0x2068 + 0x7c]: 0x00fe0000 };
    // Port 0x3f0 is bit 0 of byte 0x7e, and clear; 0x3f1 is set.
    expect(decide({ bytes: [0xec], registers: { edx: 0x3f0 }, cpu: { tr }, memory })).toEqual({
      type: 'run',
    });
    expect(decide({ bytes: [0xec], registers: { edx: 0x3f1 }, cpu: { tr }, memory })).toMatchObject({
      type: 'stop',
    });
    expect(decide({ bytes: [0x66, 0xed], registers: { edx: 0x3f0 }, cpu: { tr }, memory })).toMatchObject({
      type: 'stop',
    });
  });
});

describe('popf and iret', () => {
  it('popf that asks for IF = 0 in ring 1 loses it', () => {
    expect(decide({ bytes: [0x9d], memory: { [STACK]: 0 } })).toEqual({
      type: 'stop',
      cause: {
        kind: 'popf',
        rule: 'popf',
        operandSize: 32,
        current: 0x202,
        requested: 0,
        resulting: 0x202,
        lost: [{ flag: 'IF', current: 1, requested: 0, resulting: 1 }],
      },
    });
  });

  it('popf that asks for what it gets runs', () => {
    expect(decide({ bytes: [0x9d], memory: { [STACK]: 0x200 } })).toEqual({ type: 'run' });
  });

  it('popf that asks for another IOPL loses it even when CPL <= IOPL', () => {
    const verdict = decide({ bytes: [0x9d], eflags: 0x1202, memory: { [STACK]: 0x3000 } });
    expect(verdict).toMatchObject({
      cause: { lost: [{ flag: 'IOPL', current: 1, requested: 3, resulting: 1 }] },
    });
  });

  it('popfw asks for the lower word', () => {
    expect(decide({ bytes: [0x66, 0x9d], memory: { [STACK]: 0xffff0000 } })).toMatchObject({
      cause: { kind: 'popf', operandSize: 16, lost: [{ flag: 'IF' }] },
    });
  });

  it('iret checks CS before EFLAGS', () => {
    expect(decide({ bytes: [0xcf], memory: { [STACK + 4]: 0x18, [STACK + 8]: 0 } })).toMatchObject({
      cause: { kind: 'segment-load', register: 'cs', selector: 0x18, problem: 'rpl' },
      exception: { vector: 13, errorCode: 0x18 },
    });
    expect(decide({ bytes: [0xcf], memory: { [STACK + 4]: 0x9, [STACK + 8]: 0 } })).toMatchObject({
      cause: { kind: 'iret', lost: [{ flag: 'IF', requested: 0 }] },
    });
  });
});

describe('segment loads', () => {
  const movDsAx = [0x8e, 0xd8];
  const movSsAx = [0x8e, 0xd0];

  it('a DPL-0 descriptor is closed to ring 1 and open to ring 0', () => {
    expect(decide({ bytes: movDsAx, registers: { eax: 0x20 } })).toMatchObject({
      cause: { kind: 'segment-load', register: 'ds', selector: 0x20, problem: 'privilege' },
      exception: { vector: 13, errorCode: 0x20 },
    });
    expect(decide({ bytes: movDsAx, ring: 0, registers: { eax: 0x20 } })).toEqual({ type: 'run' });
  });

  it.each([
    ['beyond the limit', 0x31, 'limit', { vector: 13, errorCode: 0x30 }],
    ['not present', 0x29, 'not-present', { vector: 11, errorCode: 0x28 }],
    ['in an LDT that is not there', 0x0d, 'no-ldt', { vector: 13, errorCode: 0x0c }],
  ])('a selector %s faults', (_, selector, problem, exception) => {
    expect(decide({ bytes: movDsAx, registers: { eax: selector } })).toMatchObject({
      cause: { problem },
      exception,
    });
  });

  it('SS needs RPL = DPL = CPL', () => {
    expect(decide({ bytes: movSsAx, registers: { eax: 0x10 } })).toMatchObject({
      cause: { register: 'ss', problem: 'rpl' },
      exception: { vector: 13, errorCode: 0x10 },
    });
    expect(decide({ bytes: movSsAx, registers: { eax: 0x11 } })).toEqual({ type: 'run' });
    expect(decide({ bytes: movSsAx, registers: { eax: 0 } })).toMatchObject({
      cause: { problem: 'null' },
      exception: GP0,
    });
  });

  it('null goes into DS without a fault', () => {
    expect(decide({ bytes: movDsAx, registers: { eax: 0 } })).toEqual({ type: 'run' });
  });

  it('without a GDT every load is a stop, null ones too', () => {
    expect(decide({ bytes: movDsAx, gdt: false, registers: { eax: 0x18 } })).toMatchObject({
      cause: { problem: 'no-gdt', selector: 0x18 },
      exception: { vector: 13, errorCode: 0x18 },
    });
    const nothing = decide({ bytes: movDsAx, gdt: false, registers: { eax: 0 } });
    expect(nothing).toEqual({
      type: 'stop',
      cause: { kind: 'segment-load', register: 'ds', selector: 0, problem: 'no-gdt' },
    });
  });

  it('pop and lss take the selector from memory', () => {
    expect(decide({ bytes: [0x07], memory: { [STACK]: 0x20 } })).toMatchObject({
      cause: { register: 'es', selector: 0x20 },
    });
    expect(decide({ bytes: [0x0f, 0xb2, 0x25, 0x00, 0x30, 0, 0], memory: { 12292: 0x18 } })).toMatchObject({
      cause: { register: 'ss', selector: 0x18, problem: 'rpl' },
    });
  });

  it('a far jump needs a code segment of the same ring', () => {
    expect(decide({ bytes: [0xea, 0, 0, 0x10, 0, 0x18, 0] })).toMatchObject({
      cause: { kind: 'segment-load', register: 'cs', selector: 0x18, problem: 'privilege' },
    });
    expect(decide({ bytes: [0xea, 0, 0, 0x10, 0, 0x09, 0] })).toMatchObject({
      effect: { eip: 0x100000, cpl: 1, segments: { cs: { selector: 9, descriptor: flatCode(1) } } },
    });
    expect(decide({ bytes: [0xea, 0, 0, 0x10, 0, 0x11, 0] })).toMatchObject({ cause: { problem: 'type' } });
  });
});

describe('accesses through segments, which no engine checks', () => {
  const nullGs = { selector: 0, descriptor: undefined };
  const base = situation({ bytes: [0x90] }).cpu;

  it('through a null segment is #GP(0)', () => {
    const verdict = decide({
      bytes: [0x65, 0xa1, 0x14, 0, 0, 0],
      cpu: { segments: { ...base.segments, gs: nullGs } },
    });
    expect(verdict).toEqual({
      type: 'stop',
      cause: {
        kind: 'segment-access',
        register: 'gs',
        selector: 0,
        access: 'read',
        offset: 0x14,
        size: 4,
        problem: 'null',
      },
      exception: GP0,
    });
  });

  it('beyond the limit is #GP(0), or #SS(0) through SS', () => {
    const { descriptor } = base.segments.ds;
    if (!descriptor) throw new Error('ds is flat');
    const small = { selector: 0x11, descriptor: { ...descriptor, limit: 0xfff, granular: false } };
    const segments = { ...base.segments, ds: small, ss: small };
    const read = (offset: number): ReturnType<typeof evaluate> =>
      decide({ bytes: [0xa1, offset & 0xff, offset >> 8, 0, 0], cpu: { segments } });
    expect(read(0xffc)).toEqual({ type: 'run' });
    expect(read(0xffd)).toMatchObject({ cause: { register: 'ds', problem: 'limit' }, exception: GP0 });
    expect(decide({ bytes: [0x50], cpu: { segments } })).toMatchObject({
      cause: { register: 'ss', access: 'write', offset: STACK - 4, problem: 'limit' },
      exception: { vector: 12, errorCode: 0 },
    });
  });

  it('a write through a read-only segment is #GP(0)', () => {
    const { descriptor } = base.segments.ds;
    if (!descriptor) throw new Error('ds is flat');
    const segments = { ...base.segments, ds: { selector: 0x11, descriptor: { ...descriptor, type: 1 } } };
    expect(decide({ bytes: [0xa3, 0, 0, 0, 0], cpu: { segments } })).toMatchObject({
      cause: { problem: 'read-only' },
    });
  });
});

describe('software interrupts', () => {
  it('a hypercall vector is a hypercall, with its arguments in ABI order', () => {
    const verdict = decide({
      bytes: [0xcd, 0x1f],
      registers: { eax: 1, ebx: 0x1000 },
      platform: { hypervisor: 'lguest', hypercallVectors: [0x1f] },
    });
    expect(verdict).toMatchObject({
      cause: {
        kind: 'hypercall',
        via: 'int',
        vector: 0x1f,
        number: 1,
        arguments: [
          { register: 'ebx', value: 0x1000 },
          { register: 'ecx' },
          { register: 'edx' },
          { register: 'esi' },
        ],
      },
    });
  });

  it('another vector under a hypervisor is #GP with the IDT bit', () => {
    expect(
      decide({ bytes: [0xcd, 0x80], platform: { hypervisor: 'xen', hypercallVectors: [0x82] } }),
    ).toMatchObject({
      cause: { kind: 'software-interrupt', vector: 0x80 },
      exception: { vector: 13, errorCode: 0x402 },
    });
  });

  it('without an IDT it is the end', () => {
    expect(decide({ bytes: [0xcc], ring: 0 })).toEqual({
      type: 'stop',
      cause: { kind: 'shutdown', first: { vector: 13, errorCode: 0x1a }, reason: 'idt-limit' },
      exception: { vector: 13, errorCode: 0x1a },
    });
  });

  it('with a gate it is delivered', () => {
    const cpu = { idtr: { base: IDT, limit: 0x7ff } };
    const memory = { [IDT + 24]: 0x00081234, [IDT + 28]: 0x0010ef00 };
    expect(decide({ bytes: [0xcc], ring: 0, cpu, memory })).toMatchObject({
      cause: { kind: 'software-interrupt', vector: 3 },
      exception: { vector: 3 },
    });
    const s = situation({ bytes: [0xcc], ring: 0, cpu, memory });
    expect(deliveryOf(3, s.cpu, s.platform, s.read)).toEqual({ to: 'gate', selector: 8, offset: 0x00101234 });
    expect(deliveryOf(14, s.cpu, s.platform, s.read)).toEqual({ to: 'shutdown', reason: 'gate-type' });
  });

  it('a gate that is not present is #NP, and one past the limit #GP', () => {
    const cpu = { idtr: { base: IDT, limit: 0x1ff } };
    const memory = {
      [IDT + 8 * 0x20 + 4]: 0x00106e00,
      [IDT + 8 * 11]: 0x00085678,
      [IDT + 8 * 11 + 4]: 0x00108e00,
    };
    expect(decide({ bytes: [0xcd, 0x20], ring: 0, cpu, memory })).toMatchObject({
      cause: { kind: 'software-interrupt', vector: 0x20 },
      exception: { vector: 11, errorCode: 0x102 },
    });
    expect(decide({ bytes: [0xcd, 0x40], ring: 0, cpu, memory })).toMatchObject({
      cause: { kind: 'shutdown', first: { vector: 13, errorCode: 0x202 } },
    });
  });

  /** SDM vol. 3, table 6-5: a benign exception (#UD) becomes the gate's fault, a contributory one (#DE) a double fault. */
  it('an exception without a gate goes to #GP or #DF by its class', () => {
    const cpu = { idtr: { base: IDT, limit: 0x7ff } };
    const gate = (vector: number, offset: number): Record<number, number> => ({
      [IDT + 8 * vector]: 0x00080000 | offset,
      [IDT + 8 * vector + 4]: 0x00008e00,
    });
    const s = situation({ bytes: [0x90], ring: 0, cpu, memory: { ...gate(8, 0x888), ...gate(13, 0xddd) } });
    const to = (vector: number): unknown => deliveryOf(vector, s.cpu, s.platform, s.read);
    expect(to(6)).toEqual({ to: 'gate', selector: 8, offset: 0xddd });
    expect(to(0)).toEqual({ to: 'gate', selector: 8, offset: 0x888 });
    expect(to(14)).toEqual({ to: 'gate', selector: 8, offset: 0x888 });
  });

  it('int1 is a debug exception and asks for no DPL', () => {
    const cpu = { idtr: { base: IDT, limit: 0x7ff } };
    const memory = { [IDT + 8]: 0x00081234, [IDT + 12]: 0x00108e00 };
    expect(decide({ bytes: [0xf1], ring: 3, cpu, memory })).toMatchObject({
      cause: { kind: 'software-interrupt', vector: 1 },
      exception: { vector: 1 },
    });
  });

  it('int3 reaches the guest where the hypervisor opens its gate', () => {
    const xen = { hypervisor: 'xen' as const, hypercallVectors: [0x82], openVectors: [3, 4] };
    expect(decide({ bytes: [0xcc], platform: xen })).toMatchObject({ exception: { vector: 3 } });
    const lguest = { hypervisor: 'lguest' as const, hypercallVectors: [0x1f] };
    expect(decide({ bytes: [0xcc], platform: lguest })).toMatchObject({
      exception: { vector: 13, errorCode: 0x1a },
    });
  });

  it('vmcall is a hypercall where that is the ABI, and an invalid opcode elsewhere', () => {
    // lguest's guest is in ring 1 of the host: its VMCALL is #UD, which the host takes for the call.
    const vmcall = [0x0f, 0x01, 0xc1];
    expect(decide({ bytes: vmcall, platform: { vmcall: true, hypervisor: 'lguest' } })).toMatchObject({
      cause: { kind: 'hypercall', via: 'vmcall' },
      exception: { vector: 6 },
    });
    // A PVH guest is in VMX non-root operation: there it is a VM exit (SDM vol. 3, 25.1.2).
    const exit = decide({ bytes: vmcall, platform: { vmcall: true, hypervisor: 'none' } });
    expect(exit).toMatchObject({ cause: { kind: 'hypercall', via: 'vmcall' } });
    expect(exit).not.toHaveProperty('exception');
    for (const last of [0xc1, 0xd9]) {
      expect(decide({ bytes: [0x0f, 0x01, last] })).toMatchObject({
        cause: { kind: 'invalid-opcode' },
        exception: { vector: 6 },
      });
    }
  });

  it('ud2 is #UD, and with "xen" behind it a request to emulate', () => {
    expect(decide({ bytes: [0x0f, 0x0b] })).toMatchObject({
      cause: { kind: 'invalid-opcode' },
      exception: { vector: 6 },
    });
    expect(decide({ bytes: [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2] })).toMatchObject({
      cause: { kind: 'forced-emulation', prefixed: 'cpuid' },
    });
  });
});

describe('values that the CPU refuses (SDM vol. 2, MOV to control registers; WRMSR)', () => {
  const movCr = (number: number, value: number): ReturnType<typeof evaluate> =>
    decide({ bytes: [0x0f, 0x22, 0xc0 | (number << 3)], ring: 0, registers: { eax: value } });
  const refused = { cause: { kind: 'exception' }, exception: GP0 };

  it('paging without protection, and no write-through with caches on', () => {
    expect(movCr(0, 0x80000010)).toMatchObject(refused);
    expect(movCr(0, 0x20000011)).toMatchObject(refused);
    expect(movCr(0, 0x60000011)).toEqual({ type: 'run' });
  });

  it('reserved bits of CR4', () => {
    expect(movCr(4, 0x6b0)).toEqual({ type: 'run' });
    expect(movCr(4, 0x2000)).toMatchObject(refused);
  });

  it('EFER.LME on a CPU without long mode', () => {
    const registers = { ecx: 0xc0000080, eax: 0x100 };
    const s = situation({ bytes: [0x0f, 0x30], ring: 0, registers });
    expect(s.model.name).toBe('i686');
    expect(evaluate(s)).toMatchObject(refused);
    expect(evaluate({ ...s, model: findCpuModel('core2') ?? s.model })).toMatchObject({ type: 'answer' });
  });
});

describe('repeated string instructions', () => {
  const nullEs = { ...situation({ bytes: [0x90] }).cpu.segments, es: { selector: 0, descriptor: undefined } };

  it('fault through a null segment, unless they do nothing', () => {
    const stosd = [0xf3, 0xab];
    expect(decide({ bytes: stosd, cpu: { segments: nullEs }, registers: { ecx: 4 } })).toMatchObject({
      cause: { kind: 'segment-access', register: 'es', access: 'write', size: 4, problem: 'null' },
    });
    expect(decide({ bytes: stosd, cpu: { segments: nullEs }, registers: { ecx: 0 } })).toEqual({
      type: 'run',
    });
  });

  it('are checked to their last element', () => {
    const { descriptor } = situation({ bytes: [0x90] }).cpu.segments.ds;
    if (!descriptor) throw new Error('ds is flat');
    const es = { selector: 0x11, descriptor: { ...descriptor, limit: 0xfff, granular: false } };
    const segments = { ...situation({ bytes: [0x90] }).cpu.segments, es };
    const stosb = (edi: number, eflags: number): ReturnType<typeof evaluate> =>
      decide({ bytes: [0xf3, 0xaa], cpu: { segments }, registers: { ecx: 16, edi }, eflags });
    expect(stosb(0xff0, 0x202)).toEqual({ type: 'run' });
    expect(stosb(0xff1, 0x202)).toEqual({ type: 'partly', iterations: 15 });
    expect(stosb(0x1000, 0x202)).toMatchObject({ cause: { problem: 'limit' } });
    expect(stosb(0xfff, 0x602)).toEqual({ type: 'run' });
    expect(stosb(0xe, 0x602)).toEqual({ type: 'partly', iterations: 15 });
  });
});

describe('long mode', () => {
  it('is entered by CR0.PG with EFER.LME', () => {
    const s = situation({ bytes: [0x0f, 0x22, 0xc0], ring: 0, registers: { eax: 0x80000011 } });
    expect(evaluate(s)).toEqual({ type: 'run' });
    s.msrs.write(0xc0000080, 0x100n);
    expect(evaluate(s)).toMatchObject({ cause: { kind: 'long-mode' } });
  });
});

it('the GDT of these tests has its ring-0 descriptors at 0x18 and 0x20', () => {
  const s = situation({ bytes: [0x90] });
  expect([...s.read(GDT + 0x18, 8)]).toEqual([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]);
});
