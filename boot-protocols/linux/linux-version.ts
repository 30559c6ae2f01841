/** Which Linux an image is: setup header, kernel_version (boot.rst). */
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';

export interface LinuxVersion {
  readonly major: number;
  readonly minor: number;
}

/** What a bzImage, or the bzImage that a kernel proper came out of, says of its version; 0.0 of what is no Linux. */
export function linuxVersion(image: KernelImage): LinuxVersion | undefined {
  const setup = image.format === 'bzimage' ? image.setup : image.container?.setup;
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(setup?.kernelVersion ?? '') ?? [];
  return major === undefined || minor === undefined
    ? undefined
    : { major: Number(major), minor: Number(minor) };
}

/** Whether it is known to be `first` or later. */
export const isFrom = (version: LinuxVersion | undefined, first: LinuxVersion): version is LinuxVersion =>
  version !== undefined &&
  (version.major > first.major || (version.major === first.major && version.minor >= first.minor));
