/** Which of all protocols can start an image. */
import {
  type BzImage,
  type ElfImage,
  type KernelImage,
  KernelImageError,
} from '../src/kernel-image/kernel-image.ts';
import { checkPayload } from '../src/kernel-image/payload/kernel-proper.ts';
import { PROTOCOLS } from './index.ts';
import type { BootProtocol, ProtocolName, Startable } from './protocol.ts';

/** What one protocol makes of an image. */
export interface Starter {
  readonly protocol: ProtocolName;
  /** What it starts: the image as it is, or the kernel proper inside it. */
  readonly starts: 'image' | 'kernel proper';
  /** It takes the kernel proper out by itself; else the user has to, by `--payload`. */
  readonly unpacks: boolean;
  readonly answer: Startable;
}

/** The answer of a protocol that unpacks where no one has unpacked. */
export const NOT_UNPACKED = 'not-unpacked';

/**
 * Every protocol's answer, in their order. Nothing is decoded: of a bzImage whose kernel proper is not at hand a
 * protocol that unpacks answers `not-unpacked`, or what keeps it from being unpacked where the file says so.
 *
 * @param kernelProper what `unpackKernel` made of the image
 */
export function startersOf(
  image: KernelImage,
  protocols: readonly BootProtocol[],
  kernelProper?: ElfImage,
): readonly Starter[] {
  return protocols.map(protocol => {
    const { name, unpacks } = protocol;
    const starter = (starts: Starter['starts'], answer: Startable): Starter => ({
      protocol: name,
      starts,
      unpacks,
      answer,
    });
    if (image.format === 'elf') return starter('image', protocol.canStart(image));
    if (unpacks) {
      return starter('kernel proper', kernelProper ? protocol.canStart(kernelProper) : notUnpacked(image));
    }
    const answer = protocol.canStart(image);
    if (answer.ok || !kernelProper) return starter('image', answer);
    const unpacked = protocol.canStart(kernelProper);
    return unpacked.ok ? starter('kernel proper', unpacked) : starter('image', answer);
  });
}

const NO_KERNEL_PROPER: Startable = {
  ok: false,
  code: NOT_UNPACKED,
  reason: 'it starts the kernel proper inside a bzImage, which is not unpacked here; --payload does that',
};

function notUnpacked(image: BzImage): Startable {
  try {
    checkPayload(image);
    return NO_KERNEL_PROPER;
  } catch (error) {
    if (error instanceof KernelImageError) return { ok: false, code: error.code, reason: error.message };
    throw error;
  }
}

/** `it can be started as: pc, lguest`; in one sentence without a full stop, and for an image that no one starts too. */
export function startersInWords(starters: readonly Starter[]): string {
  const names = (chosen: (starter: Starter) => boolean): string =>
    starters
      .filter(chosen)
      .map(({ protocol }) => protocol)
      .join(', ');
  const plain = names(({ answer, starts, unpacks }) => answer.ok && (starts === 'image' || unpacks));
  const withPayload = names(({ answer, starts, unpacks }) => answer.ok && starts !== 'image' && !unpacks);
  const unknown = names(({ answer }) => !answer.ok && answer.code === NOT_UNPACKED);
  return [
    plain === '' ? 'no protocol starts it as it is' : `it can be started as: ${plain}`,
    ...(withPayload === '' ? [] : [`with --payload as: ${withPayload}`]),
    ...(unknown === '' ? [] : [`what is inside it was not looked at, and may do for: ${unknown}`]),
  ].join('; ');
}

/**
 * Every protocol's answer, in the order in which they are listed, with the reason of those that cannot. Nothing is
 * decoded for it.
 *
 * @param kernelProper what `unpackKernel` made of a bzImage: whoever could start that answers too
 */
export const whoCanStart = (image: KernelImage, kernelProper?: ElfImage): readonly Starter[] =>
  startersOf(image, PROTOCOLS, kernelProper);
