/** LAR, LSL, VERR, VERW: what they say of a descriptor at a privilege level. SDM vol. 2, under each. */
import {
  type Descriptor,
  encodeDescriptor,
  isConforming,
  isReadable,
  isWritable,
  selectorRpl,
} from '../segmentation.ts';

export type DescriptorQuery = 'lar' | 'lsl' | 'verr' | 'verw';

/** System descriptors that LAR and LSL know: SDM vol. 2, tables 3-53 (LAR) and 3-64 (LSL). */
const LAR_TYPES: ReadonlySet<number> = new Set([0x1, 0x2, 0x3, 0x4, 0x5, 0x9, 0xb, 0xc]);
const LSL_TYPES: ReadonlySet<number> = new Set([0x1, 0x2, 0x3, 0x9, 0xb]);
/** The bits of the second dword that LAR gives: access byte, AVL, L, D, G. */
const ACCESS_RIGHTS = 0x00f0ff00;

export interface QueryResult {
  readonly zf: 0 | 1;
  /** Of LAR and LSL with ZF = 1. */
  readonly value?: number;
}

/** @param descriptor `undefined`: the null selector, or one that names nothing */
export function queryDescriptor(
  query: DescriptorQuery,
  selector: number,
  descriptor: Descriptor | undefined,
  cpl: number,
): QueryResult {
  if (!descriptor || !isKnown(query, descriptor)) return { zf: 0 };
  const level = Math.max(cpl, selectorRpl(selector));
  if (!isConforming(descriptor) && level > descriptor.dpl) return { zf: 0 };
  if (query === 'lar') return { zf: 1, value: (encodeDescriptor(descriptor).high & ACCESS_RIGHTS) >>> 0 };
  return query === 'lsl' ? { zf: 1, value: descriptor.limit } : { zf: 1 };
}

function isKnown(query: DescriptorQuery, d: Descriptor): boolean {
  if (query === 'verr') return d.codeOrData && isReadable(d);
  if (query === 'verw') return isWritable(d);
  return d.codeOrData || (query === 'lar' ? LAR_TYPES : LSL_TYPES).has(d.type);
}
