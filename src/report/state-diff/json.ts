/** Compares two state reports, value by value. */
import { GENERAL_REGISTERS } from '../../../emulator/cpu-state.ts';
import { SEGMENT_NAMES } from '../../../emulator/segmentation.ts';
import type { StateReport } from '../state/report.ts';
import type {
  ComparedPart,
  ComparedParts,
  ComparedState,
  DifferenceIn,
  StateDifference,
  StateDiffReport,
} from './report.ts';

/** Something of a state by its name, and where it stands among its kind when that is a matter of addresses. */
interface Item<T> {
  readonly name: string;
  readonly value: T;
  readonly order?: number;
}

const CONTROLS = ['cr0', 'cr2', 'cr3', 'cr4', 'efer'] as const;

/** Each part of a state as a list; of another state the same things have the same names. */
const ITEMS: { readonly [P in ComparedPart]: (state: StateReport) => readonly Item<ComparedParts[P]>[] } = {
  ring: ({ ring }) => [{ name: 'ring', value: { value: ring } }],
  register: ({ registers }) => GENERAL_REGISTERS.map(name => ({ name, value: registers[name] })),
  eip: ({ eip }) => [{ name: 'eip', value: eip }],
  eflags: ({ eflags }) => [{ name: 'eflags', value: eflags }],
  segment: ({ segments, ldtr, tr }) => [
    ...SEGMENT_NAMES.map(name => ({ name, value: segments[name] })),
    { name: 'ldtr', value: ldtr },
    { name: 'tr', value: tr },
  ],
  table: ({ gdtr, idtr }) => [
    { name: 'gdtr', value: gdtr },
    { name: 'idtr', value: idtr },
  ],
  control: ({ control }) => CONTROLS.map(name => ({ name, value: control[name] })),
  paging: ({ paging: { mode, tablePages } }) => [{ name: 'paging', value: { mode, tablePages } }],
  mapping: ({ paging }) =>
    paging.mappings.map(value => ({ name: value.linear, value, order: Number(value.linear) })),
  memory: ({ memory: { undefinedByte } }) => [{ name: 'memory', value: { undefinedByte } }],
  bank: ({ memory }) => memory.banks.map(value => ({ name: value.start, value, order: Number(value.start) })),
  region: ({ memory }) =>
    withOrdinals(memory.regions.map(value => ({ name: value.name, value, order: Number(value.start) }))),
  structure: ({ structures }) =>
    withOrdinals(structures.map(({ fields: _, citation: __, ...value }) => ({ name: value.name, value }))),
  field: ({ structures }) =>
    withOrdinals(
      withOrdinals(structures).flatMap(({ name, fields }, index) =>
        fields.map(({ citation: _, ...value }) => ({
          name: `${name}.${value.name}`,
          value,
          order: index * 2 ** 32 + Number(value.offset),
        })),
      ),
    ),
  platform: ({ platform }) => [{ name: 'platform', value: platform }],
};

/** `name #2` for the second of a name. */
function withOrdinals<T extends { readonly name: string }>(items: readonly T[]): T[] {
  const seen = new Map<string, number>();
  return items.map(item => {
    const ordinal = (seen.get(item.name) ?? 0) + 1;
    seen.set(item.name, ordinal);
    return ordinal === 1 ? item : { ...item, name: `${item.name} #${ordinal}` };
  });
}

export function stateDiffReport(a: StateReport, b: StateReport): StateDiffReport {
  const parts: { readonly [P in ComparedPart]: () => StateDifference[] } = {
    ring: () => compare('ring', a, b),
    register: () => compare('register', a, b),
    eip: () => compare('eip', a, b),
    eflags: () => compare('eflags', a, b),
    segment: () => compare('segment', a, b),
    table: () => compare('table', a, b),
    control: () => compare('control', a, b),
    paging: () => compare('paging', a, b),
    mapping: () => compare('mapping', a, b),
    memory: () => compare('memory', a, b),
    bank: () => compare('bank', a, b),
    region: () => compare('region', a, b),
    structure: () => compare('structure', a, b),
    field: () => compare('field', a, b),
    platform: () => compare('platform', a, b),
  };
  return {
    schema: 'startup32/state-diff@1',
    a: head(a),
    b: head(b),
    differences: Object.values(parts).flatMap(part => part()),
  };
}

const head = ({ protocol, knobs, image }: StateReport): ComparedState => ({ protocol, knobs, image });

/** What differs in one part: what the first has in its order, and what only the second has at its address. */
function compare<P extends ComparedPart>(part: P, a: StateReport, b: StateReport): DifferenceIn<P>[] {
  const [first, second] = [ITEMS[part](a), ITEMS[part](b)];
  const other = new Map(second.map(item => [item.name, item]));
  const known = new Set(first.map(item => item.name));
  const pairs = [
    ...first.map(item => ({ name: item.name, order: item.order ?? 0, a: item, b: other.get(item.name) })),
    ...second
      .filter(item => !known.has(item.name))
      .map(item => ({ name: item.name, order: item.order ?? 0, a: undefined, b: item })),
  ];
  return pairs
    .sort((x, y) => x.order - y.order)
    .map(({ name, a: left, b: right }) => ({
      part,
      name,
      differ: differingLeaves(left?.value, right?.value),
      ...(left && { a: left.value }),
      ...(right && { b: right.value }),
    }))
    .filter(difference => difference.differ.length > 0);
}

/** The dotted names of the values that are not the same in both, in the order in which they stand. */
function differingLeaves(a: object | undefined, b: object | undefined): string[] {
  const [first, second] = [leaves(a), leaves(b)];
  const names = new Set([...first.keys(), ...second.keys()]);
  return [...names].filter(name => first.get(name) !== second.get(name));
}

/** A list is one value: its entries are the bits of one register or the vectors of one table. */
function leaves(value: object | undefined, prefix = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, member] of Object.entries(value ?? {})) {
    const nested: unknown = member;
    if (typeof nested === 'object' && nested !== null && !Array.isArray(nested)) {
      for (const [inner, leaf] of leaves(nested, `${prefix}${name}.`)) found.set(inner, leaf);
    } else found.set(`${prefix}${name}`, JSON.stringify(nested));
  }
  return found;
}
