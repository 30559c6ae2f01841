/** `--until`: a place by its symbol or address, or the stub's hand-over to the kernel proper. */
import { DEFAULT_MEMORY } from '../../../boot-protocols/protocol.ts';
import { didYouMean } from '../../../boot-protocols/suggest.ts';
import type { EntryState } from '../../../emulator/entry-state.ts';
import type { RunOptions } from '../../../emulator/run-options.ts';
import type { ElfImage, KernelImage } from '../../kernel-image/index.ts';
import { createNames } from '../../report/names.ts';
import { UsageError } from '../errors.ts';
import type { Io } from '../io.ts';
import type { Target } from '../parse.ts';
import { showProgress } from '../progress.ts';
import type { RunFlags } from './run-flags.ts';

/** `--until payload`, which an image's own symbol of that name comes before. */
const PAYLOAD = 'payload';

/** Where a run is to end. */
export interface RunTarget {
  /** The kernel proper, where the run goes to its first instruction. */
  readonly payload?: ElfImage;
  /** @param entry what the machine was started from */
  options(entry: EntryState): Pick<RunOptions, 'until' | 'untilCode' | 'instructions' | 'count'>;
}

/**
 * @throws {UsageError} `until-payload` where there is no stub; `unknown-symbol`, from `options`
 * @throws {KernelImageError} `no-payload` and all that keeps a kernel proper from being unpacked
 */
export async function readTarget(
  path: string,
  { until, memory, cache, payload }: RunFlags,
  image: KernelImage,
  io: Io,
): Promise<RunTarget> {
  if (!until) return { options: () => ({}) };
  if (until.text !== PAYLOAD || image.symbols.some(({ name }) => name === PAYLOAD)) {
    return { options: entry => ({ until: resolveTarget(until, image, entry) }) };
  }
  if (image.format !== 'bzimage') {
    throw new UsageError(
      'until-payload',
      payload === true || image.container
        ? '--until payload goes to where the stub hands over to the kernel proper, and here the kernel proper is started without it'
        : `--until payload goes to where the stub of a bzImage hands over to the kernel proper, and ${path} is an ELF file`,
    );
  }
  const [{ unpackKernel }, { payloadEntryCode }] = await Promise.all([
    import('../../unpack.ts'),
    import('../../until-payload.ts'),
  ]);
  using progress = showProgress(io, `unpacking ${path}`);
  const kernel = await unpackKernel(image, {
    limit: memory ?? DEFAULT_MEMORY,
    cache: cache !== false,
    onProgress: progress.report,
    ...(io.signal && { signal: io.signal }),
  });
  const untilCode = payloadEntryCode(kernel, image);
  // How long a stub runs is the payload's affair; its state at the end is asked for, and not the number.
  return {
    payload: kernel,
    options: () => ({ untilCode, instructions: Number.POSITIVE_INFINITY, count: 'beginning' }),
  };
}

function resolveTarget(target: Target, image: KernelImage, entry: EntryState): readonly number[] {
  if (target.symbol === undefined) return [target.offset];
  const addresses = createNames(image, entry).addresses(target.symbol);
  if (!addresses) {
    const known = image.symbols.map(symbol => symbol.name);
    throw new UsageError(
      'unknown-symbol',
      `--until names "${target.symbol}", which is none of the ${known.length} symbols of ${image.name}${didYouMean(target.symbol, known)}`,
    );
  }
  return addresses.map(address => (address + target.offset) >>> 0);
}
