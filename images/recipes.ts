/** Every image, and how it is made. The order is the order of building: bzimage wraps paravirt. */

export interface ImageRecipe {
  /** The folder under `images/`, and the name of the source in it: `NAME/NAME.S`. */
  readonly name: string;
  /** The built file in that folder. */
  readonly file: string;
  /** Relative to `images/`. */
  readonly linkerScript: string;
  readonly format: 'elf' | 'bzimage';
}

const elf = (name: string, linkerScript = 'kernel.ld'): ImageRecipe => ({
  name,
  file: `${name}.elf`,
  linkerScript,
  format: 'elf',
});

export const IMAGE_RECIPES: readonly ImageRecipe[] = [
  elf('native'),
  elf('paravirt'),
  elf('popf'),
  elf('segment-reload'),
  elf('null-segment'),
  elf('outside-mapping'),
  elf('iopl'),
  elf('shutdown'),
  elf('long-mode'),
  elf('lguest-hello'),
  elf('xen-hello', 'xen.ld'),
  elf('ud2-xen', 'xen.ld'),
  { name: 'bzimage', file: 'bzimage.bin', linkerScript: 'bzimage/bzimage.ld', format: 'bzimage' },
];
