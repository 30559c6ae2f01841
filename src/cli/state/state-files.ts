/** `state --write DIR`: every memory region as a file, and an index of them. */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { regionChunks } from '../../../emulator/entry-memory.ts';
import type { EntryState, MemoryRegion } from '../../../emulator/entry-state.ts';
import { makeDirectory } from '../../make-directory.ts';
import { hex32 } from '../../report/hex.ts';
import { UsageError } from '../errors.ts';
import { jsonText } from '../io.ts';

const INDEX = 'regions.json';
const SCHEMA = 'startup32/regions@1';
/** The names that {@link fileName} makes, and no others. */
const OURS = /^[0-9a-f]{8}-[a-z0-9-]+\.bin$/;
/** Bytes of a name that are kept. */
const LONGEST_NAME = 64;

interface RegionFile {
  readonly file: string;
  readonly name: string;
  readonly start: string;
  readonly size: number;
  readonly owner: MemoryRegion['owner'];
  readonly defined: boolean;
  /** Of the whole file. */
  readonly sha256: string;
}

/**
 * Writes `ADDRESS-NAME.bin` for each region, of exactly its size and with the bytes that a Machine begins with, and
 * `regions.json`. Zeros behind a region's contents are left to the file system: such a file takes no room on most.
 *
 * @throws {UsageError} `not-writable`, and `not-a-dump` when the directory holds something else
 */
export async function writeRegions(directory: string, entry: EntryState): Promise<void> {
  try {
    await makeDirectory(directory);
    await removeOld(directory);
    const regions = entry.regions.filter(region => region.size > 0);
    // The index first: a directory that is left half-written is known as ours the next time.
    await writeFile(
      join(directory, INDEX),
      jsonText({
        schema: SCHEMA,
        protocol: entry.protocol,
        knobs: entry.knobs,
        regions: indexOf(regions, entry),
      }),
    );
    for (const region of regions) await writeRegion(join(directory, fileName(region)), region, entry);
  } catch (error) {
    if (error instanceof Error && 'code' in error && 'syscall' in error)
      throw new UsageError(
        'not-writable',
        `--write names ${directory}, which cannot be written (${error.code})`,
      );
    throw error;
  }
}

/** No two regions have the same start, so no two files have the same name. */
function fileName({ start, name }: MemoryRegion): string {
  const words = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, LONGEST_NAME);
  return `${hex32(start).slice(2)}-${words || 'region'}.bin`;
}

const indexOf = (regions: readonly MemoryRegion[], entry: EntryState): RegionFile[] =>
  regions.map(region => {
    const { name, start, size, owner, defined } = region;
    const hash = createHash('sha256');
    for (const chunk of regionChunks(entry, region)) hash.update(chunk);
    return {
      file: fileName(region),
      name,
      start: hex32(start),
      size,
      owner,
      defined,
      sha256: hash.digest('hex'),
    };
  });

async function removeOld(directory: string): Promise<void> {
  const files = await readdir(directory);
  if (files.length === 0) return;
  const old = files.includes(INDEX) ? filesOf(await readFile(join(directory, INDEX), 'utf8')) : undefined;
  if (!old)
    throw new UsageError(
      'not-a-dump',
      `--write names ${directory}, which holds other files; expected an empty directory, or one that --write made`,
    );
  for (const file of old) await rm(join(directory, file), { force: true });
}

/** The files of an index of ours; `undefined` when it is none. */
function filesOf(text: string): readonly string[] | undefined {
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof index !== 'object' || index === null || !('schema' in index) || index.schema !== SCHEMA)
    return undefined;
  const regions: unknown = 'regions' in index ? index.regions : undefined;
  if (!Array.isArray(regions)) return undefined;
  return regions
    .map((region: unknown) =>
      typeof region === 'object' && region !== null && 'file' in region ? region.file : undefined,
    )
    .filter((file): file is string => typeof file === 'string' && OURS.test(file));
}

async function writeRegion(path: string, region: MemoryRegion, entry: EntryState): Promise<void> {
  // Never through a link that stands there.
  await using file = closing(await open(path, 'wx'));
  await file.handle.truncate(region.size);
  let at = 0;
  for (const chunk of regionChunks(entry, region)) {
    if (chunk.some(byte => byte !== 0)) await writeAll(file.handle, chunk, at);
    at += chunk.length;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

const closing = (handle: FileHandle) => ({ handle, [Symbol.asyncDispose]: () => handle.close() });
