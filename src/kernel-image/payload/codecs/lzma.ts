/**
 * The .lzma file that `lzma -9` and `xz --format=lzma` write (LZMA SDK, lzma-specification.txt): the data by js-lzma, the
 * header, the end and the size here. It has no checksum, so damage is found where the structure does not allow it, or not.
 */
import LZMA from 'js-lzma';
import { u32 } from '../../bytes.ts';
import { ByteSource } from './byte-source.ts';
import { type CodecInput, CorruptData, checkMade, TooBig, truncated } from './codec.ts';

const HEADER = 13;
/** lc, lp and pb in one byte: (pb * 5 + lp) * 9 + lc. */
const PROPERTIES_END = 9 * 5 * 5;
const UNKNOWN_SIZE = 0xffff_ffff;
const LONGEST_MATCH = 273;

export async function decodeLzma(input: CodecInput): Promise<Uint8Array> {
  const { bytes, size, made, making } = input;
  const { properties, isSizeKnown } = readHeader(bytes, size);
  await made(0);

  const decoder = new LZMA.Decoder();
  decoder.setLcLpPb(properties % 9, Math.floor(properties / 9) % 5, Math.floor(properties / 45));
  // The window is the output itself, so that what is made is in memory once. What goes past its end is not kept.
  const out = new Uint8Array(size);
  decoder.setDictionarySize(size + LONGEST_MATCH + 1);
  const window = decoder._outWindow;
  window._buffer = out;
  const source = new ByteSource(bytes, HEADER, () => making(Math.min(window._pos, size)));
  let length = 0;
  const sink = { writeByte: () => void length++ };
  // Without a size in the header the end marker must come after the last byte, so one more is asked for.
  if (!decoder.decode(source, sink, isSizeKnown ? size : size + 1)) {
    throw new CorruptData(source.at, 'a match goes back to before the first byte; expected it not to');
  }
  if (length > size) throw new TooBig();
  checkMade(length, input);
  if (!isSizeKnown && source.at !== bytes.length) {
    throw new CorruptData(
      source.at,
      `${bytes.length - source.at} bytes follow the end marker; expected the size word alone`,
    );
  }
  await made(length);
  return out;
}

function readHeader(
  bytes: Uint8Array,
  size: number,
): { readonly properties: number; readonly isSizeKnown: boolean } {
  if (bytes.length <= HEADER) throw truncated(bytes.length, 'the header');
  const properties = bytes[0] ?? 0;
  if (properties >= PROPERTIES_END)
    throw new CorruptData(0, `the properties are ${properties}; expected less than ${PROPERTIES_END}`);
  const low = u32(bytes, 5);
  const high = u32(bytes, 9);
  const isSizeKnown = low !== UNKNOWN_SIZE || high !== UNKNOWN_SIZE;
  if (isSizeKnown && (high !== 0 || low !== size)) {
    if (high !== 0 || low > size) throw new TooBig();
    throw new CorruptData(5, `the header has size ${low}; expected the ${size} that the size word says`);
  }
  if (bytes[HEADER] !== 0)
    throw new CorruptData(HEADER, `the first byte of the data is ${bytes[HEADER]}; expected 0`);
  return { properties, isSizeKnown };
}
