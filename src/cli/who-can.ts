/** When a protocol cannot start an image: the error says who can. */
import { stat } from 'node:fs/promises';
import { type BootProtocol, ProtocolError } from '../../boot-protocols/protocol.ts';
import { type Starter, startersInWords, whoCanStart } from '../../boot-protocols/who-can-start.ts';
import { type KernelImage, KernelImageError } from '../kernel-image/index.ts';
import { loadImage } from '../load-image.ts';
import { UnstartableError } from './errors.ts';

export interface StartAttempt {
  /** Where `image` is from: a kernel proper does not have the bzImage around it. */
  readonly path: string;
  readonly image: KernelImage;
  readonly protocol: BootProtocol;
}

/**
 * What `start` gives.
 *
 * @throws {UnstartableError} for a ProtocolError that is about the image: what a knob is at fault for, stays as it is
 */
export async function orSayWhoCan<T>(attempt: StartAttempt, start: () => T | Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const { image, protocol } = attempt;
    if (!(error instanceof ProtocolError) || error.usage || protocol.canStart(image).ok) throw error;
    const others = (await starters(attempt)).filter(starter => starter.protocol !== protocol.name);
    throw new UnstartableError(error, startersInWords(others));
  }
}

/** Of an image that a protocol would have unpacked: the others start it as it is. */
export const cannotUnpack = (error: KernelImageError, image: KernelImage): UnstartableError =>
  new UnstartableError(error, startersInWords(whoCanStart(image).filter(({ unpacks }) => !unpacks)));

/** The kernel proper was taken out for this protocol; others may want what is around it. */
async function starters({ path, image }: StartAttempt): Promise<readonly Starter[]> {
  if (image.format !== 'elf' || image.container === undefined) return whoCanStart(image);
  // What came through a pipe cannot be read again.
  const again = await stat(path).then(
    file => file.isFile(),
    () => false,
  );
  if (!again) return whoCanStart(image);
  try {
    return whoCanStart(await loadImage(path), image);
  } catch (error) {
    if (error instanceof KernelImageError) return whoCanStart(image);
    throw error;
  }
}
