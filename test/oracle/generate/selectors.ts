/** Selectors and descriptors: good ones, and bad ones of every kind. */

import type { Ring } from '../../../emulator/cpu-state.ts';
import {
  codeSelector,
  DATA,
  DOUBLE_FAULT_TSS,
  dataSelector,
  FIRST_FREE,
  LAST_FREE,
  LDT_SELECTOR,
  TSS_SELECTOR,
} from '../case.ts';
import { BIG, dpl, PAGES, PRESENT, type RawDescriptor, SEGMENT, TSS16, TSS32 } from './assemble.ts';
import type { CaseBuilder } from './builder.ts';
import type { Draw } from './draw.ts';

export const RINGS: readonly Ring[] = [0, 1, 2, 3];
export const FLAT_LIMIT = 0xfffff;

/** A slot of the case's own, in the GDT or the LDT; RPL as given. */
export function freeSelector(draw: Draw, rpl: number, table: 'gdt' | 'ldt' | 'any' = 'any'): number {
  const local = table === 'ldt' || (table === 'any' && draw.chance(30));
  return local
    ? (draw.int(0, 7) << 3) | 4 | rpl
    : (FIRST_FREE + 8 * draw.int(0, (LAST_FREE - FIRST_FREE) >> 3)) | rpl;
}

/** The descriptor privilege level that suits most often. */
const someDpl = (draw: Draw, ring: number): number => (draw.chance(55) ? ring : draw.int(0, 3));

/** Base 0 and 4 GiB - 1, whatever the type: a load that succeeds leaves the machine as it was. */
export function flatDescriptor(draw: Draw, ring: number, types: readonly number[]): RawDescriptor {
  const type = draw.pick(types);
  return {
    base: 0,
    // An expand-down segment of limit 0 is all but its first page.
    limit: (type & 0xc) === 4 ? 0 : FLAT_LIMIT,
    access: (draw.chance(90) ? PRESENT : 0) | dpl(someDpl(draw, ring)) | SEGMENT | type,
    flags: PAGES | BIG,
  };
}

const ACCESSED_TYPES = [0x1, 0x3, 0x5, 0x7, 0x9, 0xb, 0xd, 0xf] as const;
const ANY_TYPES = Array.from({ length: 16 }, (_, type) => type);

/** Any descriptor at all, system types included. */
export function anyDescriptor(draw: Draw, ring: number): RawDescriptor {
  if (draw.chance(75)) return flatDescriptor(draw, ring, draw.chance(85) ? ACCESSED_TYPES : ANY_TYPES);
  const base = draw.pick([0, DATA, 0x12345678]);
  const limit = draw.pick([0, 0x67, 0xfff, 0xffff]);
  const present = draw.chance(90) ? PRESENT : 0;
  const type = draw.int(0, 15);
  const access = present | dpl(someDpl(draw, ring)) | type;
  const flags = draw.pick([0, BIG, PAGES | BIG]);
  // A task whose state is whatever stands there could not even take an exception: its TSS is too short.
  const isTask = type === TSS16 || type === TSS32;
  return isTask && base !== 0x12345678
    ? { base, limit: 0, access, flags: 0 }
    : { base, limit, access, flags };
}

/** A selector to load or to look at; its descriptor is written where it has one of its own. */
export function anySelector(draw: Draw, b: CaseBuilder, describe = anyDescriptor): number {
  const rpl = draw.chance(65) ? b.ring : draw.int(0, 3);
  const clear = (selector: number): number => (selector & 0xfffc) | rpl;
  switch (draw.int(0, 19)) {
    case 0:
      return draw.int(0, 3);
    case 1:
    case 2:
    case 3:
      return clear(dataSelector(draw.pick(RINGS)));
    case 4:
    case 5:
      return clear(codeSelector(draw.pick(RINGS)));
    case 6:
      return clear(draw.pick([TSS_SELECTOR, LDT_SELECTOR, DOUBLE_FAULT_TSS]));
    case 7:
      return clear(0x100 + 8 * draw.int(0, 0x1fdf));
    case 8:
      // Behind the LDT's eight entries, or in no LDT at all.
      if (draw.chance(50)) b.ldtr = LDT_SELECTOR;
      return (draw.chance(50) ? 0x44 + 8 * draw.int(0, 0x1ff0) : 4 | (8 * draw.int(0, 7))) | rpl;
    default: {
      const selector = b.unused(freeSelector(draw, rpl));
      b.descriptor(selector, describe(draw, b.ring));
      return selector;
    }
  }
}
