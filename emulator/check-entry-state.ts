/** What an EntryState has to be before a Machine can be made of it. Protocols keep to it; a program's own may not. */
import type { EntryState, MemoryBank, MemoryRegion, PageMapping } from './entry-state.ts';
import { PAGE_SIZE } from './paging.ts';

export type EntryStateErrorCode =
  | 'bad-bank'
  | 'bank-overlap'
  | 'bad-region'
  | 'region-overlap'
  | 'outside-memory'
  | 'bad-mapping'
  | 'mapping-overlap';

/** An EntryState that no machine can be in. */
export class EntryStateError extends Error {
  override readonly name = 'EntryStateError';
  readonly code: EntryStateErrorCode;
  constructor(code: EntryStateErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const ADDRESS_SPACE = 2 ** 32;

interface Span {
  readonly name: string;
  readonly start: number;
  readonly size: number;
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
const endOf = ({ start, size }: Span): number => start + size;
const spell = (span: Span): string => `${span.name} (${hex(span.start)} to ${hex(endOf(span) - 1)})`;

/**
 * Banks and mappings are made of whole pages and no two overlap; every region lies in one bank and overlaps no other.
 * The order of each list does not matter.
 *
 * @throws {EntryStateError} naming what is wrong, with its range
 */
export function checkEntryState({ banks, regions, paging }: EntryState): void {
  for (const bank of banks) checkBank(bank);
  refuseOverlap('bank-overlap', 'bank', banks);
  for (const region of regions) checkRegion(region, banks);
  refuseOverlap('region-overlap', 'region', regions);
  for (const mapping of paging.mappings) checkMapping(mapping);
  refuseOverlap(
    'mapping-overlap',
    'mapping',
    paging.mappings.map(({ name, linear, size }) => ({ name, start: linear, size })),
  );
}

const isAddress = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < ADDRESS_SPACE;
const isPages = (value: number): boolean => Number.isInteger(value) && value % PAGE_SIZE === 0;

function checkBank(bank: MemoryBank): void {
  const { name, start, size } = bank;
  if (!isAddress(start) || !isPages(start) || !isPages(size) || size <= 0 || endOf(bank) > ADDRESS_SPACE)
    throw new EntryStateError(
      'bad-bank',
      `bank ${name} starts at ${hex(start)} and has ${size} bytes; expected whole pages of ${PAGE_SIZE} bytes below 4 GiB`,
    );
}

function checkRegion(region: MemoryRegion, banks: readonly MemoryBank[]): void {
  const { name, start, size, contents } = region;
  if (!isAddress(start) || !Number.isInteger(size) || size < 0 || endOf(region) > ADDRESS_SPACE)
    throw new EntryStateError(
      'bad-region',
      `region ${name} starts at ${hex(start)} and has ${size} bytes; expected a range below 4 GiB`,
    );
  if (contents && contents.length > size)
    throw new EntryStateError(
      'bad-region',
      `region ${spell(region)} has ${contents.length} bytes of contents; expected at most its size, ${size}`,
    );
  if (size > 0 && !banks.some(bank => bank.start <= start && endOf(region) <= endOf(bank)))
    throw new EntryStateError(
      'outside-memory',
      `region ${spell(region)} is not inside one bank: ${banks.map(spell).join(', ') || 'there is none'}`,
    );
}

function checkMapping({ name, linear, physical, size }: PageMapping): void {
  const sound =
    [linear, physical].every(address => isAddress(address) && isPages(address)) &&
    isPages(size) &&
    size > 0 &&
    linear + size <= ADDRESS_SPACE &&
    physical + size <= ADDRESS_SPACE;
  if (!sound)
    throw new EntryStateError(
      'bad-mapping',
      `mapping ${name} takes ${size} bytes from linear ${hex(linear)} to physical ${hex(physical)}; expected whole pages of ${PAGE_SIZE} bytes below 4 GiB`,
    );
}

/** Empty ranges overlap nothing. */
function refuseOverlap(code: EntryStateErrorCode, noun: string, spans: readonly Span[]): void {
  const sorted = spans.filter(span => span.size > 0).sort((a, b) => a.start - b.start);
  for (const [index, span] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next && next.start < endOf(span))
      throw new EntryStateError(code, `${noun} ${spell(span)} and ${noun} ${spell(next)} overlap`);
  }
}
