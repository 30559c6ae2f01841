/** `startup32 wrap KERNEL -o FILE`: a bzImage from an ELF kernel. */
import { writeFile } from 'node:fs/promises';
import { KernelImageError } from '../kernel-image/kernel-image.ts';
import { readSource } from '../load-image.ts';
import { wrapKernel } from '../wrap/wrap.ts';
import { UsageError } from './errors.ts';
import { EXIT } from './exit-codes.ts';
import type { Io } from './io.ts';
import { showProgress } from './progress.ts';

export interface WrapFlags {
  readonly output?: string;
  readonly elfHeader?: boolean;
  readonly mungeMagic?: boolean;
  readonly compress?: 'none' | 'gzip';
  readonly payload?: string;
  readonly notes?: 'keep' | 'drop';
}

export async function wrap(path: string, flags: WrapFlags, io: Io): Promise<number> {
  const { output } = flags;
  if (output === undefined || output === '')
    throw new UsageError('missing-output', '-o is missing; expected the name of the bzImage to write');
  if (flags.compress !== undefined && flags.payload !== undefined) {
    throw new UsageError(
      'bad-value',
      '--compress and --payload are both given; expected one of them, because --payload names a file that is compressed already',
    );
  }
  if (flags.notes === 'keep' && !flags.elfHeader && !flags.mungeMagic) {
    throw new UsageError(
      'bad-value',
      '--notes keep needs --elf-header or --munge-magic: notes are found by the program headers of an ELF header',
    );
  }
  const { payload: payloadPath, output: _, ...options } = flags;
  const kernel = await readSource(path);
  const payload = payloadPath === undefined ? undefined : await readPayload(payloadPath);
  using progress = showProgress(io, `compressing ${path}`);
  const image = await wrapKernel(kernel, {
    ...options,
    name: path,
    ...(payload && { payload }),
    onProgress: progress.report,
    ...(io.signal && { signal: io.signal }),
  });
  try {
    await writeFile(output, image);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new UsageError('unwritable-output', `-o names ${output}, which cannot be written (${error.code})`);
  }
  return EXIT.STOPPED;
}

async function readPayload(path: string): Promise<Uint8Array> {
  try {
    return await readSource(path);
  } catch (error) {
    if (error instanceof KernelImageError)
      throw new UsageError('unreadable-payload', `--payload names ${error.message}`);
    throw error;
  }
}
