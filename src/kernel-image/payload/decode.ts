/** From the bytes of a payload to those of the kernel proper: each codec is loaded when a payload needs it. */
import { hex, hexBytes } from '../bytes.ts';
import { KernelImageError, type PayloadFormat } from '../kernel-image.ts';
import { type Codec, CorruptData, TooBig } from './codecs/codec.ts';
import { decodedSizeOf, hasSizeWord, SIZE_WORD } from './size-word.ts';

export interface DecodeOptions {
  /** Bytes that may come out at most. Default 1 GiB. */
  readonly limit?: number;
  /** What messages call the image; default `payload`. */
  readonly name?: string;
  /** Of the payload in its file, so that messages name offsets there; default 0. */
  readonly offset?: number;
  /** Called now and then with the bytes made so far and what there will be. */
  readonly onProgress?: (done: number, total?: number) => void;
  readonly signal?: AbortSignal;
}

export const DEFAULT_LIMIT = 1 << 30;

type CodecName = Exclude<PayloadFormat, 'unknown'>;

const CODECS: Readonly<Record<CodecName, () => Promise<Codec>>> = {
  gzip: async () => (await import('./codecs/gzip.ts')).decodeGzip,
  bzip2: async () => (await import('./codecs/bzip2.ts')).decodeBzip2,
  lzma: async () => (await import('./codecs/lzma.ts')).decodeLzma,
  xz: async () => (await import('./codecs/xz.ts')).decodeXz,
  lzo: async () => (await import('./codecs/lzop.ts')).decodeLzop,
  lz4: async () => (await import('./codecs/lz4.ts')).decodeLz4,
  zstd: async () => (await import('./codecs/zstd.ts')).decodeZstd,
  elf:
    async () =>
    async ({ bytes }) =>
      bytes.slice(),
};

/**
 * @param bytes the whole payload, with the size word that the kernel's build appends to every format but gzip
 * @throws {KernelImageError} `payload-format` for an unknown one, `corrupt-payload` with the codec and the offset in the
 *   file, also when more comes out than the payload itself says, `payload-too-big` when that is more than `limit`
 * @throws the signal's reason
 */
export async function decodePayload(
  bytes: Uint8Array,
  format: PayloadFormat,
  options: DecodeOptions = {},
): Promise<Uint8Array> {
  const { limit = DEFAULT_LIMIT, name = 'payload', offset = 0, onProgress, signal } = options;
  signal?.throwIfAborted();
  const where = `${name}: the ${format} payload at offset ${hex(offset)}`;
  if (format === 'unknown') {
    throw new KernelImageError(
      'payload-format',
      `${name}: the payload at offset ${hex(offset)} starts with ${hexBytes(bytes.subarray(0, 4))}; expected the magic of gzip, bzip2, LZMA, xz, LZO, LZ4, Zstandard or ELF`,
    );
  }
  const size = decodedSizeOf(bytes, format);
  if (size === undefined) {
    throw new KernelImageError(
      'corrupt-payload',
      `${where} has ${bytes.length} bytes; expected more, with the decoded size at its end`,
    );
  }
  if (size > limit) {
    throw new KernelImageError(
      'payload-too-big',
      `${where} says that it decodes to ${hex(size)} bytes; expected at most ${hex(limit)}`,
    );
  }
  const codec = await CODECS[format]();
  const making = (done: number): void => {
    onProgress?.(done, size);
    signal?.throwIfAborted();
  };
  try {
    return await codec({
      bytes: hasSizeWord(format) ? bytes.subarray(0, bytes.length - SIZE_WORD) : bytes,
      size,
      making,
      made: async done => {
        making(done);
        await otherWork();
        signal?.throwIfAborted();
      },
    });
  } catch (error) {
    if (error instanceof TooBig) {
      throw new KernelImageError(
        'corrupt-payload',
        `${where} decodes to more than ${hex(size)} bytes; expected exactly that, because its last word says so`,
      );
    }
    if (error instanceof CorruptData) {
      throw new KernelImageError(
        'corrupt-payload',
        `${where} is corrupt at offset ${hex(offset + error.at)}: ${error.message}`,
      );
    }
    if (error instanceof RangeError) {
      throw new KernelImageError(
        'payload-too-big',
        `${where} says that it decodes to ${hex(size)} bytes; expected no more than this host has (${error.message})`,
      );
    }
    throw error;
  }
}

/** Lets timers and signals run; the codecs themselves do not wait. A browser has no setImmediate, and waits longer. */
export const otherWork = (): Promise<void> =>
  new Promise(resolve => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
