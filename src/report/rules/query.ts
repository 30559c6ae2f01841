/** Finds the rules that a name or the bytes of instructions ask for. */
import {
  findRule,
  PRIVILEGE_RULES,
  type PrivilegeRule,
  ruleOfInstruction,
} from '../../../emulator/privilege/index.ts';
import { disassemble } from '../disassemble.ts';

/** What GNU tools and other manuals call them; the manual's own mnemonics are in the rules. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  ljmp: 'far-jump',
  lcall: 'far-call',
  lret: 'far-return',
  retf: 'far-return',
  icebp: 'int',
  sysexitd: 'sysexit',
  wbnoinvd: 'wbinvd',
  'rdtsc(p)': 'rdtsc',
};

/** Operand-size suffixes of GNU tools and of the manual: `lgdtl`, `popfw`, `iretd`. */
const SIZE_SUFFIX = /[bwld]$/;

const mnemonicOf = (syntax: string): string => syntax.split(' ')[0]?.toLowerCase() ?? '';

/** A task switch has no mnemonic of its own. */
const byMnemonic = new Map<string, PrivilegeRule[]>();
for (const rule of PRIVILEGE_RULES) {
  if (rule.id === 'task-switch') continue;
  for (const mnemonic of new Set(rule.forms.map(({ syntax }) => mnemonicOf(syntax)))) {
    byMnemonic.set(mnemonic, [...(byMnemonic.get(mnemonic) ?? []), rule]);
  }
}

/** Every name that {@link rulesNamed} takes. */
export const RULE_NAMES: readonly string[] = [
  ...new Set([...PRIVILEGE_RULES.map(rule => rule.id), ...byMnemonic.keys(), ...Object.keys(OTHER_NAMES)]),
];

function rulesOfWord(word: string): readonly PrivilegeRule[] {
  const rule = findRule(word) ?? findRule(OTHER_NAMES[word] ?? '');
  return rule ? [rule] : (byMnemonic.get(word) ?? []);
}

/** What the operand of MOV, PUSH or POP is, by its name. */
const OPERAND_KINDS: readonly (readonly [pattern: RegExp, kind: string])[] = [
  [/^%?cr[0-8]$/, 'cr'],
  [/^%?d[br][0-7]$/, 'dr'],
  [/^%?tr[3-7]$/, 'tr'],
  [/^%?[c-gs]s$/, 'segment'],
];

const kindOf = (operand: string): string | undefined =>
  OPERAND_KINDS.find(([pattern]) => pattern.test(operand))?.[1];

/** `mov %eax,%cr0` and `mov cr0, eax`: AT&T syntax has the destination last, Intel's first. */
function movRule(operands: readonly string[], text: string): PrivilegeRule | undefined {
  const ordered = text.includes('%') ? [...operands].reverse() : operands;
  const [to, from] = ordered.map(kindOf);
  if (to === 'tr' || from === 'tr') return findRule('mov-test-register');
  if (to !== undefined) return findRule(`mov-to-${to}`);
  return from === undefined ? undefined : findRule(`mov-from-${from}`);
}

/** 0F, which was POP CS on the 8086, starts two-byte opcodes since the 80286. */
const isPopCs = (mnemonic: string, operands: readonly string[]): boolean =>
  mnemonic === 'pop' && /^%?cs$/.test(operands[0] ?? '');

/** What to ask for instead of a name that sounds like an instruction and is none. */
export const hintFor = (name: string): string | undefined =>
  /^\s*pop[wld]?\s+%?cs\s*$/i.test(name)
    ? 'there is no POP to CS: a far jump, call or return loads it (ljmp, lcall, lret)'
    : undefined;

/**
 * The rules of an instruction by name: an id (`mov-to-cr`), a mnemonic (`cli`, `vmlaunch`, `mov` for all its forms) or
 * source (`mov %eax,%cr0`).
 *
 * @returns none for a name that no rule has
 */
export function rulesNamed(name: string): readonly PrivilegeRule[] {
  const text = name
    .trim()
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .replace(/^rep[a-z]* /, '');
  const [word = ''] = text.split(' ');
  const operands = text
    .slice(word.length)
    .split(',')
    .map(operand => operand.trim())
    .filter(operand => operand !== '');
  const stem = word.replace(SIZE_SUFFIX, '');
  for (const mnemonic of [word, stem]) {
    if (operands.length > 0 && ['mov', 'push', 'pop'].includes(mnemonic)) {
      if (mnemonic === 'mov') return [movRule(operands, text)].filter(rule => rule !== undefined);
      const isSegment = operands.length === 1 && kindOf(operands[0] ?? '') === 'segment';
      return isSegment && !isPopCs(mnemonic, operands) ? rulesOfWord(`${mnemonic}-segment`) : [];
    }
    const rules = rulesOfWord(mnemonic);
    if (rules.length > 0) return rules;
  }
  return [];
}

/** `0f0115`, `0f 01 15`, `0x0f0115`: the bytes; `undefined` for anything else. */
export function parseHexBytes(text: string): Uint8Array | undefined {
  const digits = text
    .trim()
    .replace(/^0x/i, '')
    .replace(/[\s,]+/g, '');
  if (!/^([0-9a-f]{2})+$/i.test(digits)) return undefined;
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

export interface ExplainedInstruction {
  readonly bytes: Uint8Array;
  /** AT&T syntax. */
  readonly text: string;
  readonly rule?: PrivilegeRule;
  /** No rule, and yet it does not run at every CPL. */
  readonly privileged: boolean;
  /** Bytes of the operand that were not given, and are taken as 00. */
  readonly missing: number;
}

/** The longest instruction: SDM vol. 2, 2.3.11. */
const LONGEST = 15;

const padded = (bytes: Uint8Array, filler: number): Uint8Array => {
  const longer = new Uint8Array(LONGEST).fill(filler);
  longer.set(bytes.subarray(0, LONGEST));
  return longer;
};

/** An instruction that lacks only bytes of its operand is the same one whatever they are. */
function completed(bytes: Uint8Array): Uint8Array | undefined {
  const [zeros, ones] = [padded(bytes, 0x00), padded(bytes, 0xff)];
  const [first, second] = [ruleOfInstruction(zeros), ruleOfInstruction(ones)];
  if (!first || first.rule !== second?.rule || first.length !== second?.length) return undefined;
  const mnemonic = (code: Uint8Array): string | undefined =>
    disassemble(code, 0, 'att', 1)[0]?.text.split(' ')[0];
  return mnemonic(zeros) === mnemonic(ones) ? zeros.subarray(0, first.length) : undefined;
}

/**
 * Decodes 32-bit instructions and finds the rule of each.
 *
 * @returns the offset of the first byte that starts no instruction instead, where there is one
 */
export function explainBytes(bytes: Uint8Array): readonly ExplainedInstruction[] | number {
  const found: ExplainedInstruction[] = [];
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at);
    const length = ruleOfInstruction(rest)?.length;
    const code = length === undefined ? completed(rest) : rest.subarray(0, length);
    if (!code) return at;
    const { rule: id, everyCpl = true } = ruleOfInstruction(code) ?? {};
    const rule = id === undefined ? undefined : findRule(id);
    const text = disassemble(code, 0, 'att', 1)[0]?.text.replace(/\s+/g, ' ') ?? '';
    const given = Math.min(code.length, rest.length);
    found.push({
      bytes: rest.slice(0, given),
      text: text.startsWith('(') && rule ? rule.instruction : text,
      ...(rule && { rule }),
      privileged: !rule && !everyCpl,
      missing: code.length - given,
    });
    at += given;
  }
  return found;
}
