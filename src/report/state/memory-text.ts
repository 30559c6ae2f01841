/** The memory's part of a state's text: page mappings, and what lies where. */
import { printable } from '../../printable.ts';
import { bare, count, hex32 } from '../hex.ts';
import { sizeInWords } from '../size.ts';
import type { Style } from '../style.ts';
import { type Row, table } from '../table.ts';
import type { StateMapping, StateRegion, StateReport } from './report.ts';

const MODES = { off: 'off', '32-bit': '32-bit', pae: 'PAE' } as const;

/** `00100000-001fffff`: both ends belong to it. */
export const rangeInWords = (start: string, size: number): string =>
  size === 0 ? `${bare(start)} (empty)` : `${bare(start)}-${bare(hex32(Number(start) + size - 1))}`;

export const accessInWords = ({ writable, user }: Pick<StateMapping, 'writable' | 'user'>): string =>
  `${writable ? 'writable' : 'read-only'}, ${user ? 'user' : 'supervisor'}`;

const pagingInWords = ({ paging, control }: StateReport): string =>
  paging.mode === 'off'
    ? 'paging off'
    : `paging ${MODES[paging.mode]}, CR3 ${control.cr3.value}, ${count(paging.tablePages, 'table page')}`;

export function pagingText(report: StateReport, style: Style): string[] {
  const { mappings } = report.paging;
  const rows = mappings.map(mapping => ({
    cells: [
      rangeInWords(mapping.linear, mapping.size),
      mapping.linear === mapping.physical ? '1:1' : rangeInWords(mapping.physical, mapping.size),
      sizeInWords(mapping.size),
      accessInWords(mapping),
      printable(mapping.name),
    ],
  }));
  return [
    style.strong(pagingInWords(report)),
    ...(rows.length === 0
      ? []
      : table(rows, { heading: ['linear', 'physical', 'size', 'access', 'name'], style })),
  ];
}

export function contentsInWords({ defined, guarded, contents, size }: StateRegion): string {
  const first = contents !== undefined && !defined && contents.size < size;
  const what = first
    ? `first ${sizeInWords(contents.size)} defined`
    : defined || contents
      ? 'defined'
      : 'unspecified';
  return guarded ? `${what}, guarded` : what;
}

export function memoryText({ memory }: StateReport, style: Style): string[] {
  const { banks, regions, undefinedByte } = memory;
  const rows: Row[] = [];
  let end = 0;
  for (const bank of banks) {
    const start = Number(bank.start);
    if (start > end && rows.length > 0)
      rows.push({
        cells: [rangeInWords(hex32(end), start - end), sizeInWords(start - end), 'hole'],
        faint: true,
      });
    end = start + bank.size;
    rows.push({
      cells: [
        rangeInWords(bank.start, bank.size),
        sizeInWords(bank.size),
        bank.kind.toUpperCase(),
        '',
        printable(bank.name),
      ],
    });
    for (const region of regions) if (isIn(region, start, end)) rows.push(regionRow(region));
  }
  return [
    style.strong(
      `memory; what no region defines is unspecified, here ${undefinedByte === '0x00' ? 'zero' : undefinedByte}`,
    ),
    ...table(rows, { heading: ['range', 'size', 'owner', 'contents', 'name'], style }),
  ];
}

const isIn = (region: StateRegion, start: number, end: number): boolean =>
  Number(region.start) >= start && Number(region.start) < end;

const regionRow = (region: StateRegion): Row => ({
  cells: [
    `  ${rangeInWords(region.start, region.size)}`,
    sizeInWords(region.size),
    region.owner,
    contentsInWords(region),
    `  ${printable(region.name)}`,
  ],
});
