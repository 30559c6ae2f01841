/** `startup32 explain`, and the page that is made from the same rules. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PRIVILEGE_RULES } from '../../emulator/privilege/index.ts';
import { main } from '../../src/cli/main.ts';
import { privilegePage } from '../../src/report/rules/page.ts';
import { RULE_NAMES, rulesNamed } from '../../src/report/rules/query.ts';
import type { ExplainReport } from '../../src/report/rules/report.ts';
import { ASSEMBLED } from '../support/assembled.ts';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function explain(...words: readonly string[]): Promise<Result> {
  let stdout = '';
  let stderr = '';
  const code = await main(['explain', ...words], {
    stdout: { write: chunk => (stdout += String(chunk)) },
    stderr: { write: chunk => (stderr += String(chunk)) },
    color: false,
  });
  return { code, stdout, stderr };
}

const json = async (...words: readonly string[]): Promise<ExplainReport> =>
  JSON.parse((await explain(...words, '--format', 'json')).stdout) as ExplainReport;

const ids = async (...words: readonly string[]): Promise<string[]> =>
  (await json(...words)).rules.map(rule => rule.id);

describe('by name', () => {
  it('shows forms, conditions, the reason and what each host makes of it', async () => {
    const { code, stdout, stderr } = await explain('cli');
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^cli: CLI, IOPL-sensitive\n/);
    expect(stdout).toMatch(/^forms {2}FA {2}CLI$/m);
    expect(stdout).toMatch(/^ {7}CPL <= IOPL +as asked$/m);
    expect(stdout).toMatch(/^ {7}otherwise +#GP\(0\)$/m);
    expect(stdout).toMatch(
      /^why {4}Code that can mask interrupts can keep the CPU for itself\. \(SDM vol\. 2, CLI/m,
    );
    for (const host of ['xen: reflect', 'lguest 2.6.34 to 4.13: skip', 'monitor: emulate']) {
      expect(stdout).toContain(host);
    }
  });

  it('keeps to 100 columns', async () => {
    const { stdout } = await explain('--all');
    expect(stdout.split('\n').filter(line => line.length > 100)).toEqual([]);
  });

  it.each([
    ['mov-to-cr', ['mov-to-cr']],
    ['rdtscp', ['rdtsc']],
    ['lds', ['load-far-pointer']],
    ['int3', ['int']],
    ['vmlaunch', ['vmx']],
    ['skinit', ['svm']],
    ['LGDT', ['lgdt']],
    ['popfl', ['popf']],
    ['pushfd', ['pushf']],
    ['iretl', ['iret']],
    ['ljmp', ['far-jump']],
    ['mov %eax,%cr0', ['mov-to-cr']],
    ['mov cr0, eax', ['mov-to-cr']],
    ['movl %cr3,%eax', ['mov-from-cr']],
    ['mov eax, cr3', ['mov-from-cr']],
    ['mov %eax,%db7', ['mov-to-dr']],
    ['mov %tr6,%eax', ['mov-test-register']],
    ['mov %ax,%ss', ['mov-to-segment']],
    ['mov %fs,%ax', ['mov-from-segment']],
    ['push %fs', ['push-segment']],
    ['pop ds', ['pop-segment']],
    ['in (%dx),%al', ['in']],
    ['int $0x80', ['int']],
    ['rep insb', ['ins']],
    [
      'mov',
      [
        'mov-to-cr',
        'mov-from-cr',
        'mov-to-dr',
        'mov-from-dr',
        'mov-test-register',
        'mov-from-segment',
        'mov-to-segment',
      ],
    ],
  ])('takes %s', async (name, expected) => {
    expect(await ids(name)).toEqual(expected);
  });

  it('takes an instruction in several words', async () => {
    expect(await ids('mov', '%eax,%cr0')).toEqual(['mov-to-cr']);
  });

  it('takes every id and every mnemonic of the rules', () => {
    for (const name of RULE_NAMES) expect(rulesNamed(name).length, name).toBeGreaterThan(0);
    for (const rule of PRIVILEGE_RULES) expect(rulesNamed(rule.id), rule.id).toEqual([rule]);
  });

  it.each([
    ['clii', '(did you mean cli?)'],
    ['lgtd', '(did you mean lgdt?)'],
    ['mov %eax,%ecx', 'neither an instruction that a rule is about nor hex bytes'],
    ['pushl %eax', 'neither'],
    ['toString', 'neither'],
    ['pop %cs', 'there is no POP to CS: a far jump, call or return loads it'],
    ['pop cs', 'there is no POP to CS'],
  ])('refuses %s', async (name, words) => {
    const { code, stdout, stderr } = await explain(name);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^startup32: unknown-instruction: [^\n]*\n$/);
    expect(stderr).toContain(words);
  });
});

describe('by bytes', () => {
  it('decodes them and finds the rule', async () => {
    const { code, stdout } = await explain('0f0115');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^0f 01 15 {2}lgdtl 0x0\n {2}4 more bytes of its operand, taken as 00\n\nlgdt: LGDT/,
    );
  });

  it.each([['fa'], ['0xfa'], ['FA']])('takes %s for cli', async text => {
    expect(await ids(text)).toEqual(['cli']);
  });

  it.each(Object.entries(ASSEMBLED).flatMap(([id, samples]) => samples.map(([, hex]) => [hex, id] as const)))(
    'takes %s for %s',
    async (hex, id) => {
      const { instructions, rules } = await json(hex);
      expect(instructions).toMatchObject([{ bytes: hex, missing: 0, rule: id }]);
      expect(rules.map(rule => rule.id)).toEqual([id]);
    },
  );

  it('goes through several instructions and shows each rule once', async () => {
    const { instructions, rules } = await json('fa 89 c1', '0f011544332211', 'fa');
    expect(instructions?.map(({ text, rule }) => [text, rule])).toEqual([
      ['cli', 'cli'],
      ['mov %eax,%ecx', undefined],
      ['lgdtl 0x11223344', 'lgdt'],
      ['cli', 'cli'],
    ]);
    expect(rules.map(rule => rule.id)).toEqual(['cli', 'lgdt']);
  });

  it('says of an instruction without a rule that there is none', async () => {
    const { code, stdout } = await explain('89c1');
    expect(code).toBe(0);
    expect(stdout).toBe('89 c1  mov %eax,%ecx\n  No rule is about it: it asks for no privilege.\n');
  });

  // Opcodes: SDM vol. 2 and AMD APM vol. 3. ENCLU runs at CPL 3 alone, the others at CPL 0.
  it.each([
    ['0f01d7', 'enclu'],
    ['0f01c5', 'pconfig'],
    ['f30f01e8', 'setssbsy'],
    ['f30fae30', 'clrssbsy (%eax)'],
    ['660f38f508', 'wrussd %ecx,(%eax)'],
  ])('says of %s that privilege matters, without a rule', async (hex, text) => {
    const { instructions, rules } = await json(hex);
    expect(instructions).toMatchObject([{ text, privileged: true }]);
    expect(rules).toEqual([]);
    expect((await explain(hex)).stdout).toContain('it does not run at every CPL');
  });

  it.each([['0f'], ['ff ff'], ['0f01'], ['fa ff ff']])('refuses %s: no whole instruction', async text => {
    const { code, stderr } = await explain(text);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^startup32: no-instruction: /);
  });
});

describe('--all', () => {
  it('shows every rule, as text and as JSON', async () => {
    const report = await json('--all');
    expect(report.schema).toBe('startup32/explain@1');
    expect(report.rules.map(rule => rule.id)).toEqual(PRIVILEGE_RULES.map(rule => rule.id));
    const { stdout } = await explain('--all');
    for (const { id, instruction } of PRIVILEGE_RULES) expect(stdout).toContain(`${id}: ${instruction}, `);
  });

  it.each([
    [[], 'missing-instruction'],
    [['--all', 'cli'], 'too-many-instructions'],
  ])('explain %j ends in a usage error', async (words, code) => {
    const result = await explain(...words);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(new RegExp(`^startup32: ${code}: `));
  });
});

describe('docs/privilege.md', () => {
  it('is what npm run docs makes', () => {
    expect(readFileSync('docs/privilege.md', 'utf8')).toBe(privilegePage());
  });
});
