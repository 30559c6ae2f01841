/** LGDT and LIDT. SDM vol. 2, LGDT/LIDT. */
import { DESCRIPTOR_SIZE } from '../segmentation.ts';
import type { Situation } from '../sensitive/verdict.ts';
import { descriptorAt, dwordAt, readAll, readOperand, unreadable, wordAt } from './memory.ts';
import type { TableEntry, TableOperand } from './types.ts';

/** Limit (2 bytes) and base (4): the CPU reads all six in either operand size. */
const PSEUDO_DESCRIPTOR_SIZE = 6;
const BASE_OF_16_BIT = 0xffffff;
const GATE_PRESENT = 0x80;
/** Entries of a new GDT that are looked at. */
const FIRST_ENTRIES = 8;
/** The vectors that there are: SDM vol. 3, 6.2. */
const VECTORS = 256;

export function tableOperand(s: Situation, register: 'gdtr' | 'idtr'): TableOperand | undefined {
  const [use] = s.instruction.memory;
  if (!use) return undefined;
  const { operandSize } = s.instruction;
  const { memory, bytes } = readOperand(s, use, PSEUDO_DESCRIPTOR_SIZE);
  const common = { type: 'descriptor-table', register, operandSize, memory } as const;
  if (!bytes) return common;
  const limit = wordAt(bytes, 0);
  const base = operandSize === 16 ? dwordAt(bytes, 2) & BASE_OF_16_BIT : dwordAt(bytes, 2);
  const entries = Math.floor((limit + 1) / DESCRIPTOR_SIZE);
  const looked = Math.min(entries, register === 'gdtr' ? FIRST_ENTRIES : VECTORS);
  const size = looked * DESCRIPTOR_SIZE;
  const reason = unreadable(s, base, size);
  const contents = reason ? undefined : readAll(s, base, size);
  return {
    ...common,
    table: {
      base,
      limit,
      entries,
      ...(reason && { unreadable: reason }),
      ...(contents &&
        (register === 'gdtr' ? { first: entriesOf(contents) } : { present: gatesOf(contents) })),
    },
  };
}

function entriesOf(contents: Uint8Array): TableEntry[] {
  const entries: TableEntry[] = [];
  // Entry 0 is the null descriptor, whatever stands there: SDM vol. 3, 3.5.1.
  for (let at = DESCRIPTOR_SIZE; at < contents.length; at += DESCRIPTOR_SIZE) {
    if (dwordAt(contents, at) === 0 && dwordAt(contents, at + 4) === 0) continue;
    entries.push({ selector: at, descriptor: descriptorAt(contents, at) });
  }
  return entries;
}

function gatesOf(contents: Uint8Array): number {
  let present = 0;
  for (let at = 0; at < contents.length; at += DESCRIPTOR_SIZE) {
    if (((contents[at + 5] ?? 0) & GATE_PRESENT) !== 0) present++;
  }
  return present;
}
