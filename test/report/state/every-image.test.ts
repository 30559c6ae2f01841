/** What holds of every state report: of every image, under every protocol that starts it, with some knobs. */
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { PROTOCOLS } from '../../../boot-protocols/index.ts';
import { type BootOptions, ProtocolError } from '../../../boot-protocols/protocol.ts';
import type { EntryState } from '../../../emulator/entry-state.ts';
import { IMAGE_RECIPES } from '../../../images/recipes.ts';
import { type KernelImage, readKernelImage } from '../../../src/kernel-image/index.ts';
import { stateDiffJsonSchema, stateJsonSchema } from '../../../src/report/schema/build.ts';
import { stateReport } from '../../../src/report/state/json.ts';
import type { StateReport } from '../../../src/report/state/report.ts';
import { stateText } from '../../../src/report/state/text.ts';
import { stateDiffReport } from '../../../src/report/state-diff/json.ts';
import { stateDiffText } from '../../../src/report/state-diff/text.ts';

const KNOBS: readonly BootOptions[] = [
  {},
  { paging: 'pae', ring: 1 },
  { paging: '32-bit', gdt: 'none', poison: true },
  { cmdline: 'console=ttyS0', initrd: new Uint8Array(5000).fill(7), memory: 48 * 2 ** 20 },
];

interface Case {
  readonly name: string;
  readonly image: KernelImage;
  readonly entry: EntryState;
  readonly report: StateReport;
}

function tryEntry(start: () => EntryState): EntryState | undefined {
  try {
    return start();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

const cases: readonly Case[] = IMAGE_RECIPES.flatMap(({ name, file }, nth) => {
  const image = readKernelImage(readFileSync(`images/${name}/${file}`), { name });
  return PROTOCOLS.flatMap(protocol =>
    // Of each image the usual state, and one with knobs; the next image has the next knobs.
    [0, 1 + (nth % (KNOBS.length - 1))].flatMap((index): Case[] => {
      const knobs = KNOBS[index] ?? {};
      const entry = tryEntry(() => protocol.entryState(image, knobs));
      if (!entry) return [];
      const report = stateReport(entry, image);
      return [{ name: `${name} as ${protocol.name}, knobs ${index}`, image, entry, report }];
    }),
  );
});

/** Every line but those with what a user, an image or a source names: a word cannot be broken without changing it. */
const tooWide = (text: string): string[] =>
  text.split('\n').filter(line => line.length > 100 && !/\S{60}/.test(line));

it('there are states to look at, of every protocol that starts one of the images', () => {
  const starts = PROTOCOLS.filter(protocol => cases.some(({ image }) => protocol.canStart(image).ok));
  expect(starts.length).toBeGreaterThan(3);
  expect(new Set(cases.map(({ entry }) => entry.protocol))).toEqual(new Set(starts.map(({ name }) => name)));
});

describe('the state report of', () => {
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(stateJsonSchema());

  it.each(cases.map(each => [each.name, each] as const))('%s', (_, { entry, report }) => {
    validate(JSON.parse(JSON.stringify(report)));
    expect(validate.errors).toBeNull();
    for (const all of [false, true]) expect(tooWide(stateText(report, { all }))).toEqual([]);
    // Each region once, in address order; and its line in the text.
    expect(report.memory.regions.map(({ start }) => Number(start))).toEqual(
      entry.regions.map(({ start }) => start).sort((a, b) => a - b),
    );
    const lines = stateText(report).split('\n');
    for (const { start, name } of report.memory.regions) {
      const own = lines.filter(line => line.startsWith(`    ${start.slice(2)}`) && line.includes(` ${name}`));
      expect(own, name).toHaveLength(1);
    }
    for (const { name, fields } of report.structures)
      for (const field of fields)
        expect(`${name}.${field.name} ${field.value}`).toMatch(
          field.as === 'number' ? new RegExp(` 0x[0-9a-f]{${field.size * 2}}$`) : /./,
        );
  });
});

/** Each value of a report under a path of its own. What a list is sorted by is the key of its members. */
function leavesOf(value: unknown, path: string, into: Map<string, string>): Map<string, string> {
  if (Array.isArray(value) && /\/(mappings|banks|regions|structures|fields)$/.test(path)) {
    const seen = new Map<string, number>();
    for (const member of value) {
      const { linear, start, owner, name } = member as Record<string, string>;
      const key = linear ?? (owner === undefined ? start : undefined) ?? name ?? '';
      const ordinal = (seen.get(key) ?? 0) + 1;
      seen.set(key, ordinal);
      leavesOf(member, `${path}/${key}${ordinal > 1 ? ` #${ordinal}` : ''}`, into);
    }
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [name, member] of Object.entries(value)) leavesOf(member, `${path}/${name}`, into);
  } else into.set(path, JSON.stringify(value));
  return into;
}

/** Paths of what differs, found without knowing what a state is. */
function differingPaths(a: StateReport, b: StateReport): string[] {
  const compared = ({ schema, image, protocol, knobs, warnings, ...state }: StateReport) => state;
  const [first, second] = [leavesOf(compared(a), '', new Map()), leavesOf(compared(b), '', new Map())];
  return [...new Set([...first.keys(), ...second.keys()])]
    .filter(path => first.get(path) !== second.get(path) && !path.endsWith('/citation'))
    .sort();
}

/** Where a difference stands in the report of a state. */
const PLACES: Readonly<Record<string, (name: string) => string>> = {
  ring: () => '/ring',
  register: name => `/registers/${name}`,
  eip: () => '/eip',
  eflags: () => '/eflags',
  segment: name => (name === 'ldtr' || name === 'tr' ? `/${name}` : `/segments/${name}`),
  table: name => `/${name}`,
  control: name => `/control/${name}`,
  paging: () => '/paging',
  mapping: name => `/paging/mappings/${name}`,
  memory: () => '/memory',
  bank: name => `/memory/banks/${name}`,
  region: name => `/memory/regions/${name}`,
  structure: name => `/structures/${name}`,
  field: name => `/structures/${name.replace('.', '/fields/')}`,
  platform: () => '/platform',
};

describe('the difference between', () => {
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(stateDiffJsonSchema());
  // Of all pairs of one image every third: the protocols and knobs meet in any case.
  const pairs = cases.flatMap((a, index) =>
    cases
      .filter(b => b.image === a.image && b.name > a.name)
      .filter((_, other) => (index + other) % 3 === 0)
      .map(b => [a, b] as const),
  );

  it.each(IMAGE_RECIPES.map(({ name }) => name))(
    'any two states of %s is what a reader of both finds',
    name => {
      const own = pairs.filter(([{ image }]) => image.name === name);
      for (const [a, b] of own) compare(a.report, b.report);
    },
  );

  function compare(a: StateReport, b: StateReport): void {
    const diff = stateDiffReport(a, b);
    validate(JSON.parse(JSON.stringify(diff)));
    expect(validate.errors).toBeNull();
    const found = diff.differences.flatMap(({ part, name, differ }) =>
      differ.map(leaf => {
        const place = PLACES[part]?.(name) ?? part;
        return part === 'ring' ? place : `${place}/${leaf.replaceAll('.', '/')}`;
      }),
    );
    expect(found.sort()).toEqual(differingPaths(a, b));
    expect(tooWide(stateDiffText(diff))).toEqual([]);
    expect(tooWide(stateDiffText(diff, { all: true }))).toEqual([]);
  }

  it.each(cases.map(each => [each.name, each.report] as const))('%s and itself is none', (_, report) => {
    expect(stateDiffReport(report, report).differences).toEqual([]);
  });
});
