/** The programs with which a kernel's build makes a payload (Linux 6.1 scripts/Makefile.lib, scripts/xz_wrap.sh). */
import { spawnSync } from 'node:child_process';
import type { TestContext } from 'vitest';
import type { PayloadFormat } from '../../src/kernel-image/kernel-image.ts';
import { le32 } from './elf-builder.ts';

export interface Compressor {
  readonly format: PayloadFormat;
  readonly command: string;
  readonly args: readonly string[];
}

export const COMPRESSORS: readonly Compressor[] = [
  { format: 'gzip', command: 'gzip', args: ['-n', '-f', '-9'] },
  { format: 'bzip2', command: 'bzip2', args: ['-9'] },
  { format: 'lzma', command: 'xz', args: ['--format=lzma', '-9'] },
  { format: 'xz', command: 'xz', args: ['--check=crc32', '--x86', '--lzma2=,dict=32MiB'] },
  { format: 'lzo', command: 'lzop', args: ['-9'] },
  { format: 'lz4', command: 'lz4', args: ['-l', '-9', '-c', '-q'] },
  { format: 'zstd', command: 'zstd', args: ['-22', '--ultra', '-q'] },
];

const MOST_OUTPUT = 1 << 30;

/** What a program makes of its input; a skipped test where the program is missing, under CI=true a failure. */
export function pipe(
  ctx: TestContext,
  command: string,
  args: readonly string[],
  input: Uint8Array,
): Uint8Array {
  const { stdout, error, status, stderr } = spawnSync(command, args, { input, maxBuffer: MOST_OUTPUT });
  if (error && 'code' in error && error.code === 'ENOENT') {
    const reason = `${command} is not installed`;
    if (process.env.CI === 'true') throw new Error(reason);
    return ctx.skip(reason);
  }
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.toString()}`);
  return new Uint8Array(stdout);
}

/** A payload as a kernel's build makes it: compressed, and the size behind it for every format but gzip. */
export function payloadOf(
  ctx: TestContext,
  { format, command, args }: Compressor,
  contents: Uint8Array,
): Uint8Array {
  const packed = pipe(ctx, command, args, contents);
  return format === 'gzip' ? packed : withSize(packed, contents.length);
}

export function withSize(packed: Uint8Array, size: number): Uint8Array {
  const payload = new Uint8Array(packed.length + 4);
  payload.set(packed);
  payload.set(le32(size), packed.length);
  return payload;
}
