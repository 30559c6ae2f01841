/** Segment limits: SDM vol. 3, 5.3. */
import { type Descriptor, isExpandDown } from '../segmentation.ts';

/** Whether [offset, offset + size) lies in the segment. */
export function inLimit(d: Descriptor, offset: number, size: number): boolean {
  const last = offset + Math.max(size, 1) - 1;
  if (!isExpandDown(d)) return last <= d.limit;
  return offset > d.limit && last <= (d.big ? 0xffffffff : 0xffff);
}
