import { readKernelImage } from '../../src/kernel-image/index.ts';
import { KernelImageError } from '../../src/kernel-image/kernel-image.ts';

/** Code and message with which a file is refused. */
export function refusal(bytes: Uint8Array): { readonly code: string; readonly message: string } {
  try {
    readKernelImage(bytes, { name: 'kernel' });
  } catch (error) {
    if (error instanceof KernelImageError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('the file was read');
}
