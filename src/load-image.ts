/** From a kernel file, by path or bytes, to a KernelImage. */
import { type KernelImage, KernelImageError, readKernelImage } from './kernel-image/index.ts';

/** A file by its path (Node only), or its bytes. */
export type FileSource = string | URL | Uint8Array;

export interface LoadOptions {
  /** What messages call the image; default: the path, or `image` for bytes. */
  readonly name?: string;
  /** A System.map: its symbols stand for those of the image. */
  readonly systemMap?: FileSource;
}

/**
 * Reads an ELF32 i386 executable or a bzImage.
 *
 * @throws {KernelImageError} `unreadable-file` when the file system says no, and a code of its own for every way in which
 *   a file can be no loadable kernel.
 */
export async function loadImage(source: FileSource, options: LoadOptions = {}): Promise<KernelImage> {
  const { name = source instanceof Uint8Array ? 'image' : String(source), systemMap } = options;
  const [bytes, map] = await Promise.all([
    readSource(source),
    systemMap === undefined ? undefined : readSource(systemMap),
  ]);
  return readKernelImage(bytes, {
    name,
    ...(map !== undefined && { systemMap: new TextDecoder('latin1').decode(map) }),
  });
}

async function readSource(source: FileSource): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(source);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new KernelImageError(
      'unreadable-file',
      `${source}: ${FILE_ERRORS[code] ?? `cannot be read (${code})`}`,
    );
  }
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'the file may not be read',
  EISDIR: 'is a directory; expected a file',
};
