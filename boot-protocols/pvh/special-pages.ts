/**
 * The pages that Xen's domain builder sets aside below 4 GiB for itself and its guest: Xen 4.14
 * tools/libxc/xc_dom_x86.c, alloc_magic_pages_hvm.
 */
import type { MemoryRegion } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';

/** X86_HVM_NR_SPECIAL_PAGES pages that end at frame X86_HVM_END_SPECIAL_REGION. */
const COUNT = 8;
const END_FRAME = 0xff000;
export const SPECIAL_SIZE = COUNT * PAGE_SIZE;
export const SPECIAL_PAGES = END_FRAME * PAGE_SIZE - SPECIAL_SIZE;

/** SPECIALPAGE_*, in the order of their numbers. */
const NAMES = [
  'paging ring page',
  'monitor ring page',
  'sharing ring page',
  'buffered I/O request page',
  'xenstore page',
  'I/O request page',
  'identity page table',
  'console page',
] as const;
const IDENT_PT = NAMES.indexOf('identity page table');

const ENTRIES = 1024;
const LARGE_PAGE_SHIFT = 22;
/** P, RW, US, A, D, PS: SDM vol. 3, table 4-4. */
const LARGE_PAGE = 0xe7;

/** All of memory 1:1 in 4 MiB pages: what the CPU walks while the guest's own paging is off, on hardware that cannot do without. */
function identityPageTable(): Uint8Array {
  const table = new DataView(new ArrayBuffer(PAGE_SIZE));
  for (let index = 0; index < ENTRIES; index++) {
    table.setUint32(index * 4, ((index << LARGE_PAGE_SHIFT) | LARGE_PAGE) >>> 0, true);
  }
  return new Uint8Array(table.buffer);
}

export const specialPages = (): readonly MemoryRegion[] =>
  NAMES.map((name, index) => ({
    name,
    start: SPECIAL_PAGES + index * PAGE_SIZE,
    size: PAGE_SIZE,
    owner: index === IDENT_PT ? 'loader' : 'boot-data',
    defined: true,
    ...(index === IDENT_PT ? { contents: identityPageTable() } : {}),
  }));
