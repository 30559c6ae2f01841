/** Segments of virtual-8086 mode: SDM vol. 3, 20.1.1. */
import { type Descriptor, type SegmentRegister, TYPE_DATA } from '../segmentation.ts';

/** 64 KiB from 16 times the selector on, DPL 3. */
export function virtual8086Segment(selector: number): SegmentRegister {
  const descriptor: Descriptor = {
    base: (selector & 0xffff) * 16,
    limit: 0xffff,
    type: TYPE_DATA,
    codeOrData: true,
    dpl: 3,
    present: true,
    available: false,
    long: false,
    big: false,
    granular: false,
  };
  return { selector: selector & 0xffff, descriptor };
}
