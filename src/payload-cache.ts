/**
 * Decoded payloads, kept in the user's cache directory (Node only). Nothing here fails: what cannot be read, is damaged or
 * cannot be written is as if it were not there.
 */
import type { FileHandle } from 'node:fs/promises';
import { makeDirectory } from './make-directory.ts';

/** What all entries may have together; the ones not used for the longest time go first. */
export const CACHE_SIZE = 512 * 1024 * 1024;

export interface CacheEntry {
  readonly decoded: Uint8Array;
  /** Lower-case hex SHA-256 of `decoded`. */
  readonly sha256: string;
}

/**
 * An entry is a header and the decoded bytes: magic, CRC-32 of everything after it, SHA-256, bytes. The magic changes
 * with the layout.
 */
const MAGIC = 0x31503233; // "32P1"
const CRC_AT = 4;
const SHA256_AT = 8;
const SHA256_SIZE = 32;
const HEADER = SHA256_AT + SHA256_SIZE;
const EXTENSION = '.payload';

/** `$XDG_CACHE_HOME/startup32/payloads`, by default in `~/.cache` (XDG Base Directory Specification). */
async function directory(): Promise<string> {
  const [{ homedir }, { isAbsolute, join }] = await Promise.all([import('node:os'), import('node:path')]);
  const { XDG_CACHE_HOME = '' } = process.env;
  // The specification ignores a relative path.
  const base = isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(base, 'startup32', 'payloads');
}

async function pathOf(key: string): Promise<string> {
  const { join } = await import('node:path');
  return join(await directory(), `${key}${EXTENSION}`);
}

/**
 * @param key SHA-256 of the bzImage
 * @param limit bytes; a larger entry is not read
 */
export async function readCache(key: string, limit: number): Promise<CacheEntry | undefined> {
  try {
    const [{ constants, open }, { crc32 }, path] = await Promise.all([
      import('node:fs/promises'),
      import('node:zlib'),
      pathOf(key),
    ]);
    // What is no file must not be waited for.
    await using file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const bytes = await readWhole(file, limit);
    if (bytes === undefined) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint32(0, true) !== MAGIC) return undefined;
    if (view.getUint32(CRC_AT, true) !== crc32(bytes.subarray(SHA256_AT))) return undefined;
    const sha256 = Buffer.from(bytes.subarray(SHA256_AT, HEADER)).toString('hex');
    const now = new Date();
    await file.utimes(now, now).catch(() => undefined);
    return { decoded: bytes.subarray(HEADER), sha256 };
  } catch {
    return undefined;
  }
}

async function readWhole(file: FileHandle, limit: number): Promise<Uint8Array | undefined> {
  const stat = await file.stat();
  if (!stat.isFile() || stat.size < HEADER || stat.size > limit + HEADER) return undefined;
  const bytes = new Uint8Array(stat.size);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  return bytesRead === bytes.length ? bytes : undefined;
}

/** Written beside its place and then moved there, so that no reader sees half of it, whoever else writes. */
export async function writeCache(key: string, { decoded, sha256 }: CacheEntry): Promise<void> {
  if (decoded.length + HEADER > CACHE_SIZE) return;
  try {
    const [{ open, rename, rm }, { crc32 }, { randomUUID }, path] = await Promise.all([
      import('node:fs/promises'),
      import('node:zlib'),
      import('node:crypto'),
      pathOf(key),
    ]);
    await makeDirectory(await directory(), 0o700);
    const header = Buffer.alloc(HEADER);
    header.writeUInt32LE(MAGIC, 0);
    header.write(sha256, SHA256_AT, 'hex');
    header.writeUInt32LE(crc32(decoded, crc32(header.subarray(SHA256_AT))), CRC_AT);
    const temporary = `${path}.${randomUUID()}`;
    try {
      await using file = await open(temporary, 'wx', 0o600);
      await file.writev([header, decoded]);
      await rename(temporary, path);
    } catch {
      await rm(temporary, { force: true });
    }
    await dropOldest();
  } catch {
    // The next run decodes again.
  }
}

/** Temporary files that a run left behind when it was killed are entries like any other here. */
async function dropOldest(): Promise<void> {
  const [{ readdir, rm, stat }, { join }] = await Promise.all([
    import('node:fs/promises'),
    import('node:path'),
  ]);
  const folder = await directory();
  const names = (await readdir(folder)).filter(name => name.includes(EXTENSION));
  const entries = await Promise.all(
    names.map(async name => {
      const path = join(folder, name);
      // Another process may have dropped it in between.
      const found = await stat(path).catch(() => undefined);
      return { path, size: found?.size ?? 0, used: found?.mtimeMs ?? 0 };
    }),
  );
  let total = 0;
  for (const { path, size } of entries.sort((a, b) => b.used - a.used)) {
    total += size;
    if (total > CACHE_SIZE) await rm(path, { force: true });
  }
}
