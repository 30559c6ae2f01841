/** The compared things of a state in a few words each, to stand side by side. */
import { type BitNames, CR0_BITS, CR4_BITS } from '../../../emulator/operands/bits.ts';
import { printable } from '../../printable.ts';
import { bare, count } from '../hex.ts';
import { sizeInWords } from '../size.ts';
import { EFER_BITS } from '../state/bits.ts';
import { flagsInWords, segmentInWords, tableInWords, withPromisedBits } from '../state/cpu-text.ts';
import { accessInWords, contentsInWords, rangeInWords } from '../state/memory-text.ts';
import type { StateBits, StateMapping, StateRegion, StateSegment } from '../state/report.ts';
import { valueInWords } from '../state/structure-text.ts';
import type { ComparedPart, ComparedParts, DifferenceIn, StateDifference } from './report.ts';

/** Digits of a SHA-256 that tell two contents apart. */
const HASH_DIGITS = 12;

const joined = (...parts: readonly (string | undefined | false)[]): string =>
  printable(parts.filter(part => part !== undefined && part !== false && part !== '').join(' '));

const bitsInWords = (register: StateBits, names: BitNames): string => {
  const { value, set, promised } = register;
  const open = Number(promised) === 0 && (set.length === 0 ? 'unspecified' : 'unspecified,');
  return joined(value, open, withPromisedBits(set.join(' '), register, names));
};

function segment(value: StateSegment): string {
  const { selector, descriptor: d, promised, selectorPromised } = value;
  const open = promised ? !selectorPromised && '(unspecified)' : 'unspecified,';
  if (!d) return joined(selector, open, 'null');
  const flat = Number(d.base) === 0 && Number(d.limit) === 0xffffffff;
  const place = flat ? 'flat,' : `base ${bare(d.base)}, limit ${bare(d.limit)},`;
  return joined(selector, open, place, `DPL ${d.dpl},`, segmentInWords(value));
}

const mapping = (value: StateMapping): string =>
  joined(
    `${sizeInWords(value.size)},`,
    `${value.linear === value.physical ? '1:1' : `to ${value.physical}`},`,
    `${accessInWords(value)},`,
    value.name,
  );

const region = (value: StateRegion, differ: readonly string[]): string =>
  joined(
    `${rangeInWords(value.start, value.size)},`,
    `${sizeInWords(value.size)}, ${value.owner},`,
    contentsInWords(value),
    // Only where there are two contents to tell apart.
    differ.includes('contents.sha256') &&
      !differ.includes('name') &&
      value.contents !== undefined &&
      `(sha256 ${value.contents.sha256.slice(0, HASH_DIGITS)}…)`,
  );

/** By the control register's name. */
const BITS: Readonly<Record<string, BitNames>> = { cr0: CR0_BITS, cr4: CR4_BITS, efer: EFER_BITS };

type WordedPart = Exclude<ComparedPart, 'platform'>;

/** `differ`: names of the values that differ. */
const IN_WORDS: {
  readonly [P in WordedPart]: (value: ComparedParts[P], differ: readonly string[], name: string) => string;
} = {
  ring: ({ value }) => String(value),
  register: ({ value, promised, meaning }) => joined(value, promised ? meaning : 'unspecified'),
  eip: ({ value, symbol }) => joined(value, symbol),
  eflags: value => joined(value.value, Number(value.promised) === 0 && 'unspecified,', flagsInWords(value)),
  segment,
  table: value =>
    joined(
      `base ${bare(value.base)}, limit ${bare(value.limit)}:`,
      tableInWords(value),
      !value.promised && (value.descriptorsPromised ? '(descriptors promised)' : '(unspecified)'),
    ),
  control: (value, _differ, name) => bitsInWords(value, BITS[name] ?? {}),
  paging: ({ mode, tablePages }) => (mode === 'off' ? mode : `${mode}, ${count(tablePages, 'table page')}`),
  mapping,
  memory: ({ undefinedByte }) => `${undefinedByte} where no region defines it`,
  bank: ({ name, size, kind }) => joined(`${sizeInWords(size)} ${kind.toUpperCase()},`, name),
  region,
  structure: ({ address, size }) => `at ${address}, ${count(size, 'byte')}`,
  field: ({ meaning, by, ...value }) =>
    joined(
      valueInWords(value),
      `by ${by === 'zero' ? 'no one' : `the ${by}`}${meaning === undefined ? '' : `: ${meaning}`}`,
    ),
};

interface Sides {
  readonly a: string | undefined;
  readonly b: string | undefined;
}

/** Both sides of a difference; `undefined` for a state that does not have it. */
export function inWords(difference: Exclude<StateDifference, { part: 'platform' }>): Sides {
  return sides(difference);
}

function sides<P extends WordedPart>({ part, name, differ, a, b }: DifferenceIn<P>): Sides {
  const words = IN_WORDS[part];
  return { a: a && words(a, differ, name), b: b && words(b, differ, name) };
}
