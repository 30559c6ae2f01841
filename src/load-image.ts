/** From a kernel file, by path or bytes, to a KernelImage. */
import type { FileHandle } from 'node:fs/promises';
import { type KernelImage, KernelImageError, readKernelImage } from './kernel-image/index.ts';
import type { UnpackOptions } from './unpack.ts';

/** A file by its path (Node only), or its bytes. */
export type FileSource = string | URL | Uint8Array;

export interface LoadOptions {
  /** What messages call the image; default: the path, or `image` for bytes. */
  readonly name?: string;
  /** A System.map: its symbols stand for those of the image. */
  readonly systemMap?: FileSource;
  /**
   * Called now and then while the file is read and hashed. The unit is a byte to read or to hash; `total` is absent
   * while a pipe is read.
   */
  readonly onProgress?: OnProgress;
  /** Of a bzImage, the kernel proper inside it; options of its own, or `true` for their defaults. */
  readonly payload?: boolean | UnpackOptions;
}

export type OnProgress = (done: number, total?: number) => void;

/**
 * Reads an ELF32 i386 executable or a bzImage, or with `payload` the kernel proper inside a bzImage.
 *
 * @throws {KernelImageError} `unreadable-file` when the file system says no, `no-payload` when an ELF file is to have one,
 *   and a code of its own for every way in which a file can be no loadable kernel.
 */
export async function loadImage(source: FileSource, options: LoadOptions = {}): Promise<KernelImage> {
  const { name = source instanceof Uint8Array ? 'image' : String(source), systemMap, onProgress } = options;
  const [bytes, map] = await Promise.all([
    readSource(source, onProgress && ((done, total) => onProgress(done, total && 2 * total))),
    systemMap === undefined ? undefined : readSource(systemMap),
  ]);
  const image = readKernelImage(bytes, {
    name,
    ...(map !== undefined && { systemMap: new TextDecoder('latin1').decode(map) }),
    ...(onProgress && { onProgress: (done: number, total: number) => onProgress(total + done, 2 * total) }),
  });
  const { payload = false } = options;
  return payload === false ? image : unpackLoaded(image, payload === true ? {} : payload);
}

async function unpackLoaded(image: KernelImage, options: UnpackOptions): Promise<KernelImage> {
  if (image.format !== 'bzimage') {
    throw new KernelImageError(
      'no-payload',
      `${image.name}: the file is an ELF executable, which has no payload; expected a bzImage`,
    );
  }
  const { unpackKernel } = await import('./unpack.ts');
  return unpackKernel(image, options);
}

/**
 * The bytes of a file or a pipe; of bytes, themselves.
 *
 * @param onProgress called now and then with the bytes read; without a total for a pipe
 * @throws {KernelImageError} `unreadable-file`
 */
export async function readSource(source: FileSource, onProgress?: OnProgress): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  const { open } = await import('node:fs/promises');
  try {
    await using file = await open(source);
    return await readOpened(file, source, onProgress);
  } catch (error) {
    if (error instanceof KernelImageError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw unreadable(source, FILE_ERRORS[code] ?? `cannot be read (${code})`);
  }
}

const unreadable = (source: string | URL, what: string): KernelImageError =>
  new KernelImageError('unreadable-file', `${source === '' ? '""' : source}: ${what}`);

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'the file may not be read',
  EISDIR: 'is a directory; expected a file',
};

/** Far above any kernel, initrd excluded, and far below what a host's memory holds. */
const MAX_FILE_SIZE = 512 * 1024 * 1024;

/** A regular file has a size to check; a pipe is read until it ends or is too long. */
async function readOpened(
  file: FileHandle,
  source: string | URL,
  onProgress: OnProgress | undefined,
): Promise<Uint8Array> {
  const stat = await file.stat();
  const expected = `expected at most ${MAX_FILE_SIZE}`;
  if (stat.isDirectory()) throw unreadable(source, FILE_ERRORS.EISDIR ?? 'is a directory');
  if (!stat.isFile() && !stat.isFIFO() && !stat.isSocket())
    throw unreadable(source, 'is a device; expected a regular file or a pipe');
  if (stat.size > MAX_FILE_SIZE) throw unreadable(source, `has ${stat.size} bytes; ${expected}`);
  // A file of the kernel's own (/proc) has no size, and is read to its end.
  if (stat.isFile() && stat.size > 0) return await readSized(file, stat.size, onProgress);
  if (stat.isFile()) return await file.readFile();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    const bytes: Uint8Array = chunk;
    size += bytes.length;
    if (size > MAX_FILE_SIZE) throw unreadable(source, `has more than ${MAX_FILE_SIZE} bytes; ${expected}`);
    chunks.push(bytes);
    onProgress?.(size);
  }
  return Buffer.concat(chunks);
}

/** Bytes read between two reports. */
const CHUNK = 16 * 1024 * 1024;

async function readSized(
  file: FileHandle,
  size: number,
  onProgress: OnProgress | undefined,
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await file.read(bytes, done, Math.min(CHUNK, size - done));
    if (bytesRead === 0) break;
    done += bytesRead;
    onProgress?.(done, size);
  }
  return bytes.subarray(0, done);
}
