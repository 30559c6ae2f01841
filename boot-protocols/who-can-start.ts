/** Which of all protocols can start an image. */
import type { ElfImage, KernelImage } from '../src/kernel-image/kernel-image.ts';
import { PROTOCOLS } from './index.ts';
import { type Starter, startersOf } from './startable.ts';

/**
 * Every protocol's answer, in the order in which they are listed, with the reason of those that cannot. Nothing is
 * decoded for it.
 *
 * @param kernelProper what `unpackKernel` made of a bzImage: whoever could start that answers too
 */
export const whoCanStart = (image: KernelImage, kernelProper?: ElfImage): readonly Starter[] =>
  startersOf(image, PROTOCOLS, kernelProper);
