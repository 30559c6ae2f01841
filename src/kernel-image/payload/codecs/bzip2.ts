/** bzip2, one file, as `bzip2 -9` writes it: decoded and checked against its CRCs by seek-bzip, its ends and size here. */
import Bunzip from 'seek-bzip';
import { ByteSource } from './byte-source.ts';
import { type CodecInput, CorruptData, checkMade, TooBig } from './codec.ts';

export async function decodeBzip2(input: CodecInput): Promise<Uint8Array> {
  const { bytes, size, made, making } = input;
  await made(0);
  const out = new Uint8Array(size);
  let length = 0;
  const source = new ByteSource(bytes, 0, () => making(length));
  const writeByte = (byte: number): void => {
    if (length >= size) throw new TooBig();
    out[length++] = byte;
  };
  try {
    Bunzip.decode(source, { writeByte });
  } catch (error) {
    if (!(error instanceof TypeError && 'errorCode' in error)) throw error;
    throw new CorruptData(
      source.at,
      `the bzip2 data cannot be decoded (${error.message}); expected data that can`,
    );
  }
  if (source.at !== bytes.length) {
    throw new CorruptData(
      source.at,
      `${bytes.length - source.at} bytes follow the end; expected the size word alone`,
    );
  }
  await made(length);
  checkMade(length, input);
  return out;
}
