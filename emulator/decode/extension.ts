/** The extension of the instruction set that an instruction belongs to. */
import { iced } from './iced.ts';
import type { CodeBits } from './sizes.ts';

const { Decoder, DecoderOptions } = iced;

/** MMX and SSE instructions, whose #UD by CR0.EM comes before #NM. */
export function extensionOf(bytes: Uint8Array, bits: CodeBits): 'mmx' | 'sse' | undefined {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  const names = [...instruction.cpuidFeatures()].map(feature => iced.CpuidFeature[feature] ?? '');
  instruction.free();
  decoder.free();
  if (names.some(name => name.startsWith('SSE'))) return 'sse';
  return names.includes('MMX') ? 'mmx' : undefined;
}
