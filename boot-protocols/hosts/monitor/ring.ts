/**
 * Ring compression: the kernel believes that it is in ring 0 and runs in an outer one. Its own descriptors keep DPL 0 in
 * its tables; what the CPU holds of them has the DPL of the real ring. Robin and Irvine (USENIX Security 2000), 3.2.
 */
import type { Ring } from '../../../emulator/cpu-state.ts';
import {
  DESCRIPTOR_SIZE,
  type Descriptor,
  decodeDescriptor,
  encodeDescriptor,
  isConforming,
  isNullSelector,
  type SegmentRegister,
  selectorRpl,
  selectorUsesLdt,
} from '../../../emulator/segmentation.ts';
import type { Stop } from '../../../emulator/stop.ts';
import type { AnswerContext } from '../answer.ts';
import { readWord } from '../instruction.ts';

const ACCESSED = 1;

/** The real ring of the virtual ring 0. */
const kernelRing = ({ entry }: AnswerContext): Ring => entry.ring;

/** The code that stopped believes that it is in ring 0. */
export const inVirtualRing0 = (stop: Stop, context: AnswerContext): boolean =>
  stop.cpu.cpl <= kernelRing(context);

/** The RPL that the kernel means: its own real ring stands for ring 0. */
export const virtualRpl = (context: AnswerContext, selector: number): number => {
  const rpl = selectorRpl(selector);
  return rpl <= kernelRing(context) ? 0 : rpl;
};

/** A selector as the kernel wrote it, before its RPL was raised. */
export const virtualSelector = (_stop: Stop, context: AnswerContext, selector: number): number =>
  (selector & ~3) | virtualRpl(context, selector);

/** Where a selector's descriptor stands, if it is inside its table. */
export function descriptorAddress({ cpu }: Stop, selector: number): number | undefined {
  const table = selectorUsesLdt(selector) ? cpu.ldtr.descriptor : cpu.gdtr;
  if (!table || (!selectorUsesLdt(selector) && isNullSelector(selector))) return undefined;
  const offset = selector & 0xfff8;
  return offset + DESCRIPTOR_SIZE - 1 > table.limit ? undefined : (table.base + offset) >>> 0;
}

/** The descriptor that a selector names in the kernel's own table. */
export function lookUp(stop: Stop, read: AnswerContext['read'], selector: number): Descriptor | undefined {
  const address = descriptorAddress(stop, selector);
  if (address === undefined) return undefined;
  const low = readWord(read, address, 4);
  const high = readWord(read, address + 4, 4);
  return low === undefined || high === undefined ? undefined : decodeDescriptor(low, high);
}

/** What the CPU holds of a descriptor of the kernel's: accessed, and with the DPL of the ring that it runs in. */
const compressed = (context: AnswerContext, descriptor: Descriptor): Descriptor => ({
  ...descriptor,
  type: descriptor.type | ACCESSED,
  dpl: Math.max(descriptor.dpl, kernelRing(context)),
});

/** DS, ES, FS, GS with the selector as it is; its RPL may be below the ring. */
export const dataRegister = (
  context: AnswerContext,
  selector: number,
  descriptor: Descriptor,
): SegmentRegister => ({ selector, descriptor: compressed(context, descriptor) });

/** SS: its RPL is the ring. */
export const stackRegister = (
  context: AnswerContext,
  selector: number,
  descriptor: Descriptor,
): SegmentRegister => ({
  selector: (selector & ~3) | kernelRing(context),
  descriptor: compressed(context, descriptor),
});

/** CS: its RPL is the ring; a conforming segment keeps its DPL. */
export const codeRegister = (
  context: AnswerContext,
  selector: number,
  descriptor: Descriptor,
): SegmentRegister => ({
  selector: (selector & ~3) | kernelRing(context),
  descriptor: isConforming(descriptor)
    ? { ...descriptor, type: descriptor.type | ACCESSED }
    : compressed(context, descriptor),
});

/** The CPU sets the accessed bit in the table when it loads a segment: SDM vol. 3, 3.4.5.1. */
export function accessedWrite(
  stop: Stop,
  selector: number,
  descriptor: Descriptor,
): readonly { readonly linear: number; readonly bytes: Uint8Array }[] {
  const address = descriptorAddress(stop, selector);
  if (address === undefined || (descriptor.type & ACCESSED) !== 0) return [];
  const { high } = encodeDescriptor({ ...descriptor, type: descriptor.type | ACCESSED });
  return [{ linear: (address + 5) >>> 0, bytes: Uint8Array.of((high >>> 8) & 0xff) }];
}
