/** Whether a protocol can start an image with its own values of the knobs. */
import type { EntryState } from '../emulator/entry-state.ts';
import type { KernelImage } from '../src/kernel-image/kernel-image.ts';
import { type BootOptions, ProtocolError, type Startable } from './protocol.ts';

/** What a larger --memory cures: the image itself is not the reason. */
const CURED_BY_MEMORY = 'image-too-big';

export function tryStart(
  image: KernelImage,
  entryState: (image: KernelImage, options: BootOptions) => EntryState,
): Startable {
  try {
    entryState(image, {});
    return { ok: true };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (error.usage || error.code === CURED_BY_MEMORY) return { ok: true };
    return { ok: false, code: error.code, reason: error.message };
  }
}
