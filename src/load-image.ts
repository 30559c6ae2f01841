/** From a kernel file, by path or bytes, to a KernelImage. */
import type { FileHandle } from 'node:fs/promises';
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

/**
 * The bytes of a file or a pipe; of bytes, themselves.
 *
 * @throws {KernelImageError} `unreadable-file`
 */
export async function readSource(source: FileSource): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  const { open } = await import('node:fs/promises');
  try {
    await using file = await open(source);
    return await readOpened(file, source);
  } catch (error) {
    if (error instanceof KernelImageError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw unreadable(source, FILE_ERRORS[code] ?? `cannot be read (${code})`);
  }
}

const unreadable = (source: string | URL, what: string): KernelImageError =>
  new KernelImageError('unreadable-file', `${source}: ${what}`);

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'the file may not be read',
  EISDIR: 'is a directory; expected a file',
};

/** Far above any kernel, initrd excluded, and far below what a host's memory holds. */
export const MAX_FILE_SIZE = 512 * 1024 * 1024;

/** A regular file has a size to check; a pipe is read until it ends or is too long. */
async function readOpened(file: FileHandle, source: string | URL): Promise<Uint8Array> {
  const stat = await file.stat();
  const expected = `expected at most ${MAX_FILE_SIZE}`;
  if (stat.isDirectory()) throw unreadable(source, FILE_ERRORS.EISDIR ?? 'is a directory');
  if (!stat.isFile() && !stat.isFIFO() && !stat.isSocket())
    throw unreadable(source, 'is a device; expected a regular file or a pipe');
  if (stat.size > MAX_FILE_SIZE) throw unreadable(source, `has ${stat.size} bytes; ${expected}`);
  if (stat.isFile()) return await file.readFile();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    const bytes: Uint8Array = chunk;
    size += bytes.length;
    if (size > MAX_FILE_SIZE) throw unreadable(source, `has more than ${MAX_FILE_SIZE} bytes; ${expected}`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
