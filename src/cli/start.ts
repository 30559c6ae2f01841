/** From what the command line says to what is started: the protocol, the image, the knobs. */
import { findProtocol, type KnobbedProtocol, PROTOCOLS } from '../../boot-protocols/index.ts';
import { type BootModule, type BootOptions, DEFAULT_MEMORY } from '../../boot-protocols/protocol.ts';
import { DEFAULT_DECODE_LIMIT, type KernelImage, KernelImageError } from '../kernel-image/index.ts';
import { loadImage, readSource } from '../load-image.ts';
import { UnstartableError, UsageError } from './errors.ts';
import type { Io } from './io.ts';
import type { ModuleFlag } from './parse.ts';
import { showProgress } from './progress.ts';
import type { ImageFlags, KnobFlags } from './start-flags.ts';
import { cannotUnpack } from './who-can.ts';

export function chosenProtocol(name: string | undefined): KnobbedProtocol {
  if (name !== undefined) return findProtocol(name);
  const names = PROTOCOLS.map(protocol => protocol.name);
  throw new UsageError('missing-protocol', `--as is missing; expected one of ${names.join(', ')}`);
}

/**
 * The image; of a bzImage the kernel proper when `--payload` asks for it or the protocol always takes it out.
 *
 * @param flags with `contents`: what is in the file, where it has been read already
 * @param protocol absent: no one starts it, it is only looked at
 * @param memory bytes of the guest's memory; the kernel proper may have no more
 */
export async function readKernel(
  path: string,
  flags: ImageFlags & { readonly contents?: Uint8Array },
  io: Io,
  protocol?: KnobbedProtocol,
  memory = protocol ? DEFAULT_MEMORY : DEFAULT_DECODE_LIMIT,
): Promise<KernelImage> {
  const image = await readImage(path, flags, io);
  if (flags.payload !== true && protocol?.unpacks !== true) return image;
  if (image.format !== 'bzimage') {
    if (flags.payload !== true) return image;
    throw new UsageError(
      'no-payload',
      `--payload asks for the kernel inside a bzImage, and ${path} is an ELF file`,
    );
  }
  const { unpackKernel } = await import('../unpack.ts');
  using progress = showProgress(io, `unpacking ${path}`);
  try {
    return await unpackKernel(image, {
      limit: memory,
      cache: flags.cache !== false,
      onProgress: progress.report,
      ...(io.signal && { signal: io.signal }),
    });
  } catch (error) {
    if (!(error instanceof KernelImageError) || !protocol) throw error;
    if (error.code === 'payload-too-big') throw new UnstartableError(error, MEMORY_HINT);
    throw flags.payload === true ? error : cannotUnpack(error, image);
  }
}

const MEMORY_HINT = 'a kernel may have no more than the memory of the guest, which --memory sets';

async function readImage(
  path: string,
  { symbols, contents }: Parameters<typeof readKernel>[1],
  io: Io,
): Promise<KernelImage> {
  using progress = showProgress(io, `reading ${path}`);
  return await loadImage(contents ?? path, {
    name: path,
    ...(symbols !== undefined && { systemMap: await readFor('--symbols', symbols) }),
    ...(io.progress && { onProgress: progress.report }),
  });
}

/** The flags that are knobs, as the protocols take them. */
export async function readKnobs(flags: KnobFlags): Promise<BootOptions> {
  const { initrd, module } = flags;
  const { ring, paging, gdt, keepSegments, subarch, memory, cmdline, loadAddress, poison, cpu } = flags;
  const { era, xenHost, privileged } = flags;
  const given = {
    ...{ ring, paging, gdt, keepSegments, subarch, memory, cmdline, loadAddress, poison, cpu },
    ...{ era, xenHost, privileged },
  };
  const options: BootOptions = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  return {
    ...options,
    ...(initrd !== undefined && { initrd: await readFor('--initrd', initrd) }),
    ...(module !== undefined && { modules: await Promise.all(module.map(readModule)) }),
  };
}

async function readModule({ path, cmdline }: ModuleFlag): Promise<BootModule> {
  const contents = await readFor('--module', path);
  return { name: path, contents, ...(cmdline !== undefined && { cmdline }) };
}

async function readFor(flag: string, path: string): Promise<Uint8Array> {
  try {
    return await readSource(path);
  } catch (error) {
    if (error instanceof KernelImageError)
      throw new UsageError(`unreadable-${flag.slice(2)}`, `${flag} names ${error.message}`);
    throw error;
  }
}
