/** Stops at a touch of memory: page faults, holes, ROM, the loader's own pages. */
import { REGISTER_POISON } from '../../../emulator/entry-state.ts';
import type { Access, Near, PageWalkStep, StopOf } from '../../../emulator/stop.ts';
import { exceptionTitle } from '../exceptions.ts';
import { count, hex32, hex64, hexShort } from '../hex.ts';
import type { Explainer, Explainers, Scene } from './scene.ts';

const TARGET = { read: 'read of', write: 'write to', fetch: 'fetch from' } as const satisfies Record<
  Access,
  string
>;

/** `inside the kernel's LOAD 0`, `0x300 bytes past LOAD 0`. */
function nearClaim(near: readonly Near[]): string | undefined {
  const nearest = near[0];
  if (!nearest) return undefined;
  if (nearest.where === 'inside') return `in ${nearest.name}`;
  return `${hexShort(nearest.distance)} ${nearest.where} ${nearest.name}`;
}

const nearDetail = ({ name, owner, start, end, where, distance }: Near): string => {
  const range = `${name} (${owner}, ${hex32(start)} to ${hex32(end - 1)})`;
  return where === 'inside' ? `inside ${range}` : `${count(distance, 'byte')} ${where} ${range}`;
};

/** An address this close to the poison pattern was almost certainly computed from it. */
const POISON_REACH = 0x1000;

/** Says so when an address comes from a register that the protocol does not promise. */
function poisonDetail(address: number, scene: Scene): string[] {
  const { eax: lowest, edi: highest } = REGISTER_POISON;
  if (address < lowest - POISON_REACH || address > highest + POISON_REACH) return [];
  return [
    `${hex32(address)} is near ${hex32(lowest)}: the pattern in registers for which ${scene.entry.protocol} promises no value`,
  ];
}

const PTE_PRESENT = 1;

function walkDetail({ level, entryAddress, low, high }: PageWalkStep): string {
  const value = high === 0 ? hex32(low) : hex64((BigInt(high) << 32n) | BigInt(low));
  return `page walk: ${level} entry at physical ${hex32(entryAddress)} is ${value}${low & PTE_PRESENT ? '' : ', not present'}`;
}

/** SDM vol. 3, 4.6 and 4.7. */
const PAGE_PROBLEMS: {
  readonly [K in StopOf<'page-fault'>['problem']]: { readonly claim: string; readonly why: string };
} = {
  'not-present': {
    claim: 'not mapped',
    why: 'No present page-table entry translates this address (SDM vol. 3, 4.7).',
  },
  'read-only': {
    claim: 'mapped read-only',
    why: 'The page is not writable in some level of the page tables; above CPL 2, or with CR0.WP set, a write then faults (SDM vol. 3, 4.6.1).',
  },
  supervisor: {
    claim: 'a supervisor page',
    why: 'At CPL 3 an access needs U/S set in every level of the page tables (SDM vol. 3, 4.6.1).',
  },
  'reserved-bit': {
    claim: 'mapped by an entry with a reserved bit set',
    why: 'A present page-table entry has a bit set that must be zero (SDM vol. 3, 4.7, RSVD).',
  },
  'no-execute': {
    claim: 'mapped no-execute',
    why: 'The page has XD set and EFER.NXE is on: instructions cannot be fetched from it (SDM vol. 3, 4.6.2).',
  },
};

const withNear = (claim: string, near: readonly Near[]): string[] => {
  const words = nearClaim(near);
  return words === undefined ? [claim] : [`${claim}; ${words}`, claim];
};

const pageFault: Explainer<'page-fault'> = (stop, scene) => {
  const problem = PAGE_PROBLEMS[stop.problem];
  const mapping =
    stop.problem === 'not-present' && scene.entry.paging.mode !== 'off'
      ? ` ${scene.entry.protocol} started the kernel with paging on and ${count(scene.entry.paging.mappings.length, 'mapped range')}.`
      : '';
  return {
    title: stop.exception ? exceptionTitle(stop.exception) : '#PF',
    claims: [
      ...withNear(`${TARGET[stop.access]} ${hex32(stop.address)}, which is ${problem.claim}`, stop.near),
      `${TARGET[stop.access]} ${hex32(stop.address)} (${stop.problem})`,
    ],
    why: `${problem.why}${mapping}`,
    details: [
      ...stop.walk.map(walkDetail),
      ...stop.near.map(nearDetail),
      ...poisonDetail(stop.address, scene),
    ],
    facts: { access: stop.access, address: hex32(stop.address), problem: stop.problem },
  };
};

const memoryHole: Explainer<'memory-hole'> = (stop, scene) => {
  const banks = scene.entry.banks.map(
    bank => `${bank.name} ${hex32(bank.start)} to ${hex32(bank.start + bank.size - 1)}`,
  );
  return {
    title: 'memory hole',
    claims: [
      ...withNear(
        `${stop.size}-byte ${TARGET[stop.access]} ${hex32(stop.address)}, where no memory is`,
        stop.near,
      ),
      `${TARGET[stop.access]} ${hex32(stop.address)}, where no memory is`,
    ],
    why: `Nothing answers at this physical address. There is memory at: ${banks.join(', ')}.`,
    details: [...stop.near.map(nearDetail), ...poisonDetail(stop.address, scene)],
    facts: {
      access: stop.access,
      address: hex32(stop.address),
      size: stop.size,
      ...(stop.value !== undefined && { value: hex32(stop.value) }),
    },
  };
};

const romWrite: Explainer<'rom-write'> = stop => ({
  title: 'ROM write',
  claims: [
    `${stop.size}-byte write of ${hex32(stop.value)} to ${hex32(stop.address)}, which is ROM`,
    `write to ${hex32(stop.address)}, which is ROM`,
  ],
  why: 'A PC ignores a write to ROM. The kernel would go on and find another value there than the one that it wrote.',
  details: stop.near.map(nearDetail),
  facts: { address: hex32(stop.address), size: stop.size, value: hex32(stop.value) },
});

const loaderMemory: Explainer<'loader-memory'> = (stop, scene) => ({
  title: "loader's memory",
  claims: [
    ...withNear(
      `${stop.size}-byte ${TARGET[stop.access]} ${hex32(stop.address)}, not the kernel's own`,
      stop.near,
    ),
    `${TARGET[stop.access]} ${hex32(stop.address)}, not the kernel's own`,
  ],
  why: `The loader keeps its GDT and page tables here. ${scene.entry.protocol} promises what they do, and neither where they are nor what their bytes say, so a kernel has no business in them.`,
  details: stop.near.map(nearDetail),
  facts: { access: stop.access, address: hex32(stop.address), size: stop.size },
});

export const MEMORY_EXPLAINERS: Explainers<'page-fault' | 'memory-hole' | 'rom-write' | 'loader-memory'> = {
  'page-fault': pageFault,
  'memory-hole': memoryHole,
  'rom-write': romWrite,
  'loader-memory': loaderMemory,
};
