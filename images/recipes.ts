/** Every image, and how it is made. The order is the order of building: bzimage wraps paravirt. */

export interface ImageRecipe {
  /** The folder under `images/`, and the name of the source in it: `NAME/NAME.S`. */
  readonly name: string;
  /** The built file in that folder. */
  readonly file: string;
  /** Relative to `images/`. */
  readonly linkerScript: string;
  readonly format: 'elf' | 'bzimage';
  /** Of an ELF image: e_entry, a number or a symbol. Default: the physical address of startup_32, see kernel.ld. */
  readonly entry?: string;
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
  elf('startup-paravirt'),
  elf('startup-paravirt-cr0'),
  elf('lguest-hello'),
  elf('lguest-2.6.23'),
  elf('lguest-vmcall'),
  elf('vmi-probe'),
  elf('xen-hello', 'xen.ld'),
  elf('ud2-xen', 'xen.ld'),
  { ...elf('xen-legacy', 'xen-legacy/xen-legacy.ld'), entry: 'stext' },
  { ...elf('xen-no-entry', 'xen.ld'), entry: 'startup_32' },
  elf('xen-ring0', 'xen.ld'),
  elf('pvh-hello', 'xen.ld'),
  { ...elf('multiboot'), entry: 'startup_32' },
  { name: 'bzimage', file: 'bzimage.bin', linkerScript: 'bzimage/bzimage.ld', format: 'bzimage' },
];
