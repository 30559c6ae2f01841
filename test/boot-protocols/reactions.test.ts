import { describe, expect, it } from 'vitest';
import { findProtocol, PROTOCOLS } from '../../boot-protocols/index.ts';
import { LGUEST_REACTIONS } from '../../boot-protocols/lguest/reactions.ts';
import type { Reaction } from '../../boot-protocols/protocol.ts';
import { XEN_REACTIONS } from '../../boot-protocols/xen/reactions.ts';
import { IOPL_RULES } from '../../emulator/privilege/iopl.ts';
import { PRIVILEGED_RULES } from '../../emulator/privilege/privileged.ts';
import { SILENT_RULES } from '../../emulator/privilege/silent.ts';
import type { Stop } from '../../emulator/stop.ts';
import { ALL_STOPS, common, STOPS } from '../support/stops.ts';
import { bzImage, startableBy, vmlinux } from './images.ts';

const privileged = (rule: string, bytes = '90'): Stop => ({
  ...common(bytes),
  kind: 'privileged-instruction',
  rule,
  exception: { vector: 13, errorCode: 0 },
});

const iopl = (rule: string): Stop => ({
  ...common(),
  kind: 'iopl-sensitive-instruction',
  rule,
  exception: { vector: 13, errorCode: 0 },
});

const ring0 = (stop: Stop): Stop => ({ ...stop, cpu: { ...stop.cpu, cpl: 0 } });

const reaction = (protocol: string, stop: Stop): Reaction => findProtocol(protocol).reaction(stop);

describe.each(PROTOCOLS.map(protocol => [protocol.name, protocol] as const))('%s', (_, protocol) => {
  it.each(ALL_STOPS.map(stop => [stop.kind, stop] as const))('has a whole sentence for %s', (_kind, stop) => {
    const { sentence } = protocol.reaction(stop);
    expect(sentence).toMatch(/^[A-Z“a-z].*[.]$/s);
    expect(sentence).not.toContain('undefined');
  });

  it.each(ALL_STOPS.map(stop => [stop.kind, stop] as const))(
    'advises on %s without empty lines',
    (_kind, stop) => {
      for (const image of [vmlinux(), bzImage()]) {
        for (const line of protocol.advice(stop, image)) expect(line.trim()).not.toBe('');
      }
    },
  );

  it('calls the load of a null selector no fault, whatever there is no GDT for (SDM vol. 3, 3.4.2)', () => {
    const { exception: _, ...loaded } = STOPS['segment-load'];
    const { outcome, sentence } = protocol.reaction({ ...loaded, register: 'fs', selector: 0 });
    expect(outcome).toBe('nothing');
    expect(sentence).toMatch(/^No fault: .*#GP\(0\)/);
    expect(protocol.reaction(STOPS['segment-load']).outcome).not.toBe('nothing');
  });

  it('takes vmcall for an invalid opcode and not for a hypercall (SDM vol. 3, VMCALL)', () => {
    // Of a PVH guest it is a VM exit.
    if (protocol.name === 'pvh') return;
    const vmcall: Stop = { ...common('0f 01 c1'), kind: 'invalid-opcode', exception: { vector: 6 } };
    expect(protocol.entryState(startableBy(protocol.name), {}).platform.vmcall).toBeUndefined();
    expect(protocol.reaction(vmcall).outcome).not.toBe('handles');
    expect([protocol.reaction(vmcall).sentence, ...protocol.advice(vmcall, vmlinux())].join()).toMatch(
      protocol.name.startsWith('xen') ? /int \$0x82/ : /int \$0x1f/,
    );
  });

  it('never says that someone hears of a popf that loses IF', () => {
    expect(protocol.reaction(STOPS.popf).outcome).toBe('nothing');
  });
});

describe('lguest (Linux 4.13 tools/lguest/lguest.c, emulate_insn)', () => {
  it('skips cli, emulates in and out, and nothing else', () => {
    expect(reaction('lguest', iopl('cli')).outcome).toBe('skips');
    expect(reaction('lguest', iopl('in')).outcome).toBe('emulates');
    expect(reaction('lguest', iopl('out')).outcome).toBe('emulates');
    for (const rule of ['sti', 'ins', 'outs']) expect(reaction('lguest', iopl(rule)).outcome).toBe('kills');
  });

  it.each(['lgdt', 'lidt', 'lldt', 'hlt', 'clts', 'rdmsr', 'wrmsr', 'mov-to-cr', 'mov-from-cr'])(
    'kills on %s',
    rule => {
      const { outcome, sentence } = reaction('lguest', privileged(rule));
      expect(outcome).toBe('kills');
      expect(sentence).toContain('unhandled trap 13');
    },
  );

  it.each(['lguest', 'xen'])('%s: hlt waits at CPL 0, and is #GP(0) in ring 1', name => {
    const { sentence } = reaction(name, ring0(STOPS.halt));
    expect(sentence).toContain('At CPL 0');
    expect(sentence).toContain('ring 1, where hlt is #GP(0)');
  });

  it('emulates for ring 1 only', () => {
    const stop = iopl('cli');
    expect(reaction('lguest', { ...stop, cpu: { ...stop.cpu, cpl: 3 } }).outcome).toBe('kills');
  });

  it.each([
    [1, 'handles', 'LHCALL_LGUEST_INIT'],
    [16, 'handles', 'LHCALL_LOAD_TLS'],
    [17, 'kills', 'LHCALL_NOTIFY'],
    [99, 'kills', 'number 99'],
  ])('makes of hypercall %i: %s', (number, outcome, name) => {
    const stop: Stop = {
      ...common('cd 1f'),
      kind: 'hypercall',
      via: 'int',
      vector: 0x1f,
      number,
      arguments: [],
    };
    expect(reaction('lguest', stop)).toMatchObject({ outcome });
    expect(reaction('lguest', stop).sentence).toContain(name);
  });
});

describe('xen (Xen 4.14 xen/arch/x86/pv/emul-priv-op.c)', () => {
  it.each(['clts', 'wbinvd', 'rdmsr', 'wrmsr', 'rdtsc', 'xsetbv', 'mov-to-dr', 'mov-from-dr'])(
    'emulates %s',
    rule => {
      expect(reaction('xen', privileged(rule)).outcome).toBe('emulates');
    },
  );

  it.each(['hlt', 'invlpg', 'lgdt', 'lidt', 'lldt', 'ltr', 'lmsw', 'invd'])('does not emulate %s', rule => {
    expect(reaction('xen', privileged(rule)).outcome).toBe('kills');
  });

  it.each([
    ['mov %eax,%cr0', 'mov-to-cr', '0f 22 c0', 'TS only'],
    ['mov %eax,%cr3', 'mov-to-cr', '0f 22 d8', 'NEW_BASEPTR'],
    ['mov %eax,%cr4', 'mov-to-cr', '0f 22 e0', 'CR4'],
    ['mov %cr2,%ecx', 'mov-from-cr', '0f 20 d1', 'CR2'],
    ['mov %cr3,%eax with a prefix', 'mov-from-cr', '66 0f 20 d8', 'L3'],
  ])('says what it makes of %s', (_, rule, bytes, words) => {
    const { outcome, sentence } = reaction('xen', privileged(rule, bytes));
    expect(outcome).toBe('emulates');
    expect(sentence).toContain(words);
  });

  it('does not emulate mov to CR8', () => {
    expect(reaction('xen', privileged('mov-to-cr', '0f 22 f8')).outcome).toBe('kills');
  });

  it('emulates the forced-emulation prefix', () => {
    expect(reaction('xen', STOPS['forced-emulation']).outcome).toBe('emulates');
  });

  it.each([
    [21, 'vm_assist'],
    [11, '-ENOSYS'],
  ])('takes hypercall %i by its gate: %s', (number, words) => {
    const stop: Stop = {
      ...common('cd 82'),
      kind: 'hypercall',
      via: 'int',
      vector: 0x82,
      number,
      arguments: [],
    };
    expect(reaction('xen', stop)).toMatchObject({ outcome: 'handles' });
    expect(reaction('xen', stop).sentence).toContain(words);
  });

  it.each([
    [38, [], ['xen', 'xen --xen-host 32', 'xen-supervisor']],
    [40, ['xen --xen-host 32', 'xen-supervisor'], ['xen']],
    [48, [], ['xen', 'xen --xen-host 32', 'xen-supervisor']],
    [49, ['xen --xen-host 32', 'xen-supervisor'], ['xen']],
    [50, ['xen', 'xen --xen-host 32', 'xen-supervisor'], []],
  ])('knows hypercall %i by the version of Xen: 4.2 ends at tmem_op', (number, missing, there) => {
    const stop: Stop = { ...STOPS.hypercall, number };
    const said = (who: string): string => {
      const [name = '', ...knobs] = who.split(' ');
      const { entryState, reaction } = findProtocol(name);
      return reaction(stop, entryState(startableBy(name), knobs.length > 0 ? { xenHost: 32 } : {})).sentence;
    };
    for (const who of missing) expect([who, said(who)]).toEqual([who, expect.stringContaining('-ENOSYS')]);
    for (const who of there) expect([who, said(who)]).toEqual([who, expect.stringContaining('Xen handles')]);
  });
});

it.each(['pc', 'contract', 'startup-paravirt'])('%s says whether anything ends a hlt', name => {
  const halt = STOPS.halt;
  expect(reaction(name, { ...halt, interruptsEnabled: true }).sentence).toContain('next interrupt');
  expect(reaction(name, { ...halt, interruptsEnabled: false }).sentence).toContain('interrupts are off');
});

describe.each(['pc', 'contract'])('%s: in ring 0 only the CPU is there', name => {
  it('names the handler in the kernel’s own IDT', () => {
    const stop: Stop = {
      ...common('0f 0b'),
      kind: 'invalid-opcode',
      exception: { vector: 6 },
      delivery: { to: 'gate', selector: 0x10, offset: 0x101234 },
    };
    const { outcome, sentence } = reaction(name, ring0(stop));
    expect(outcome).toBe('cpu-delivers');
    expect(sentence).toContain('#UD');
    expect(sentence).toContain('0x10:0x101234');
  });

  it('says why there is no handler', () => {
    const stop: Stop = {
      ...common('0f 0b'),
      kind: 'invalid-opcode',
      exception: { vector: 6 },
      delivery: { to: 'shutdown', reason: 'idt-limit' },
    };
    expect(reaction(name, ring0(stop))).toMatchObject({ outcome: 'kills' });
    expect(reaction(name, ring0(stop)).sentence).toContain('limit of the IDT');
  });

  it.each([
    ['idt-limit', 'limit of the IDT'],
    ['gate-type', 'no gate'],
    ['gate-not-present', 'not present'],
    ['gate-unreadable', 'cannot be read'],
  ] as const)('says %s in words', (reason, words) => {
    const stop = ring0({ ...STOPS['invalid-opcode'], delivery: { to: 'shutdown', reason } });
    expect(reaction(name, stop).sentence).toContain(words);
  });

  it('does not pretend to know who owns ring 0 outside of it', () => {
    expect(reaction(name, STOPS['invalid-opcode']).outcome).toBe('unknown');
  });
});

describe('pc', () => {
  it('advises ring 0 for a kernel that was deprivileged', () => {
    expect(findProtocol('pc').advice(iopl('cli'), vmlinux())[0]).toContain('--ring 0');
  });
});

it.each([
  ['lguest', LGUEST_REACTIONS],
  ['xen', XEN_REACTIONS],
])('%s says something of its own for every privilege rule', (_, table) => {
  const ids = [...PRIVILEGED_RULES, ...IOPL_RULES, ...SILENT_RULES].map(rule => rule.id);
  expect(Object.keys(table.rules).sort()).toEqual(ids.sort());
});
