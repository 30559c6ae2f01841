/** What each host makes of each rule. */
import { describe, expect, it } from 'vitest';
import {
  HOST_NAMES,
  hostAnswer,
  hostAnswers,
  hostAnswerToFault,
} from '../../../boot-protocols/hosts/index.ts';
import { compareVersions, NEWEST_LGUEST, OLDEST_LGUEST } from '../../../boot-protocols/lguest/eras.ts';
import { LGUEST_REACTIONS } from '../../../boot-protocols/lguest/reactions.ts';
import { react } from '../../../boot-protocols/reactions.ts';
import { XEN_REACTIONS } from '../../../boot-protocols/xen/reactions.ts';
import { PRIVILEGE_RULES } from '../../../emulator/privilege/index.ts';
import type { Stop } from '../../../emulator/stop.ts';
import { common } from '../../support/stops.ts';

const ERAS = [
  '2.6.23',
  '2.6.24',
  '2.6.29',
  '2.6.30',
  '2.6.33',
  '2.6.34',
  '2.6.38',
  '2.6.39',
  '3.0',
  '3.19',
].concat(['4.0', '4.13']);
const GENERAL_PROTECTION = 13;

const does = (host: (typeof HOST_NAMES)[number], rules: string, era?: string): Record<string, string> =>
  Object.fromEntries(rules.split(' ').map(rule => [rule, hostAnswer(host, rule, era).does]));

const all = (rules: string, action: string): Record<string, string> =>
  Object.fromEntries(rules.split(' ').map(rule => [rule, action]));

describe.each(HOST_NAMES)('%s', host => {
  it('answers every rule, and no other', () => {
    for (const { id } of PRIVILEGE_RULES) expect(hostAnswers(host, id).length, id).toBeGreaterThan(0);
    expect(() => hostAnswer(host, 'nop')).toThrow(RangeError);
    expect(() => hostAnswer(host, 'toString')).toThrow(RangeError);
  });

  it('says so in whole sentences, with a source', () => {
    for (const { id } of PRIVILEGE_RULES) {
      for (const { sentence, citation } of hostAnswers(host, id)) {
        expect(sentence, id).toMatch(/^[A-Za-z].*\.$/);
        expect(citation, id).not.toBe('');
        expect(`${sentence} ${citation}`).not.toContain('undefined');
      }
    }
  });

  it('has an answer to every exception, seen by itself', () => {
    for (const { id } of PRIVILEGE_RULES) {
      expect(hostAnswerToFault(host, id, GENERAL_PROTECTION).does, id).not.toBe('unseen');
    }
  });

  it('sees every privileged and IOPL-sensitive instruction', () => {
    for (const rule of PRIVILEGE_RULES.filter(each => each.class !== 'silent')) {
      expect(hostAnswer(host, rule.id).does, rule.id).not.toBe('unseen');
    }
  });

  it('never hears of the silent ones that fault at no CPL (Robin and Irvine)', () => {
    const silent = 'sgdt sidt sldt str smsw pushf popf lar lsl verr verw push-segment mov-from-segment cpuid';
    expect(does(host, silent)).toEqual(all(silent, 'unseen'));
  });
});

describe('xen (Xen 4.14 xen/arch/x86/pv/emul-priv-op.c, validate)', () => {
  it('emulates what validate() lets through', () => {
    const rules = 'clts wbinvd mov-to-cr mov-from-cr mov-to-dr mov-from-dr rdmsr wrmsr rdtsc xsetbv';
    expect(does('xen', rules)).toEqual(all(rules, 'emulate'));
  });

  it('reflects everything else that is privileged', () => {
    const rules =
      'hlt invlpg lgdt lidt lldt ltr lmsw invd sysexit rdpmc monitor mwait clac stac rsm vmcall invpcid xsaves sysret';
    expect(does('xen', rules)).toEqual(all(rules, 'reflect'));
  });

  it('lets cli, sti and ports pass only above virtual IOPL 0, which is that of start of day', () => {
    const rules = 'cli sti in out ins outs';
    expect(does('xen', rules)).toEqual(all(rules, 'reflect'));
  });

  it('answers for each control register', () => {
    expect(hostAnswer('xen', 'mov-to-cr').byRegister?.[0]?.sentence).toContain('TS only');
    expect(Object.keys(hostAnswer('xen', 'mov-from-cr').byRegister ?? {})).toEqual(['0', '2', '3', '4']);
  });

  it('reflects #UD where the CPU raises it', () => {
    expect(hostAnswer('xen', 'monitor').sentence).toContain('#UD');
    expect(hostAnswer('xen', 'lgdt').sentence).toContain('#GP');
  });
});

describe('lguest (Linux drivers/lguest/x86/core.c, tools/lguest/lguest.c)', () => {
  it('has one answer in every version from 2.6.23 to 4.13', () => {
    for (const { id } of PRIVILEGE_RULES) {
      const answers = hostAnswers('lguest', id);
      for (const era of ERAS) {
        const covering = answers.filter(
          ({ since = OLDEST_LGUEST, until = NEWEST_LGUEST }) =>
            compareVersions(since, era) <= 0 && compareVersions(era, until) <= 0,
        );
        expect(covering.length, `${id} in ${era}`).toBe(1);
      }
    }
  });

  it('skips cli since 2.6.34', () => {
    expect(hostAnswer('lguest', 'cli', '2.6.23').does).toBe('reflect');
    expect(hostAnswer('lguest', 'cli', '2.6.33').does).toBe('reflect');
    expect(hostAnswer('lguest', 'cli', '2.6.34').does).toBe('skip');
    expect(hostAnswer('lguest', 'cli', '3.0').does).toBe('skip');
    expect(hostAnswer('lguest', 'cli').does).toBe('skip');
  });

  it('takes vmcall for a hypercall from 2.6.30 to 2.6.33 only', () => {
    expect(ERAS.filter(era => hostAnswer('lguest', 'vmcall', era).does === 'emulate')).toEqual([
      '2.6.30',
      '2.6.33',
    ]);
  });

  it('emulates in and out in every version, and what a byte reads as changed in 2.6.39', () => {
    for (const era of ERAS) expect(does('lguest', 'in out', era)).toEqual(all('in out', 'emulate'));
    expect(hostAnswer('lguest', 'in', '2.6.38').sentence).toContain('as all ones in AX');
    expect(hostAnswer('lguest', 'in', '2.6.39').sentence).toContain('in AL, AX or EAX');
    expect(hostAnswer('lguest', 'in', '4.13').sentence).toContain('launcher');
  });

  it('emulates nothing that is privileged', () => {
    const rules = PRIVILEGE_RULES.filter(rule => rule.class === 'privileged').map(rule => rule.id);
    for (const rule of rules) expect(hostAnswer('lguest', rule).does, rule).toBe('reflect');
  });

  it('refuses a version without lguest', () => {
    for (const era of ['2.6.22', '4.14']) {
      expect(() => hostAnswer('lguest', 'lgdt', era)).toThrow(RangeError);
      expect(() => hostAnswer('lguest', 'cli', era)).toThrow(RangeError);
    }
  });
});

describe('a trap-and-emulate monitor (Popek and Goldberg 1974)', () => {
  it('emulates what traps, and reflects what its virtual CPU refuses', () => {
    for (const rule of PRIVILEGE_RULES.filter(each => each.class === 'iopl-sensitive')) {
      expect(hostAnswer('monitor', rule.id).does, rule.id).toBe('emulate');
    }
    const refused =
      'mov-test-register rsm vmcall vmmcall vmx vmxon vmfunc svm invpcid xsaves xrstors getsec encls syscall sysret';
    expect(does('monitor', refused)).toEqual(all(refused, 'reflect'));
  });
});

describe('the report’s means', () => {
  const stop = (rule: string): Stop => ({
    ...common(),
    kind: 'privileged-instruction',
    rule,
    exception: { vector: GENERAL_PROTECTION, errorCode: 0 },
  });

  it.each([
    ['xen', XEN_REACTIONS, 'clts'],
    ['xen', XEN_REACTIONS, 'lgdt'],
    ['xen', XEN_REACTIONS, 'cli'],
    ['lguest', LGUEST_REACTIONS, 'lgdt'],
    ['lguest', LGUEST_REACTIONS, 'cli'],
    ['lguest', LGUEST_REACTIONS, 'in'],
  ] as const)('says of %s what the host’s table says of %s', (host, table, rule) => {
    expect(react(table, stop(rule)).sentence).toBe(hostAnswer(host, rule).sentence);
  });

  it('takes a silent instruction that was refused for the exception that it raised', () => {
    expect(react(XEN_REACTIONS, stop('mov-to-segment')).outcome).toBe('kills');
    const { exception: _, ...silent } = stop('mov-to-segment');
    expect(react(XEN_REACTIONS, silent as Stop).outcome).toBe('nothing');
  });
});
