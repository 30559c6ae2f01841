/**
 * What a Xen domain builder reads from an image and asks of it: Xen 4.14 xen/common/libelf/libelf-dominfo.c (elf_xen_parse),
 * then libxc for a domU and construct_dom0 for dom0.
 */
import type { ElfImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { decodeXenGuestString, readXenGuest, type XenGuest } from '../../src/kernel-image/xen-notes.ts';
import { ProtocolError, type Startable } from '../protocol.ts';
import { hex, roundUp } from '../regions.ts';
import { type DomainBuilder, M2P } from './builder.ts';
import { type FeatureSet, hasFeature, parseFeatures } from './features.ts';
import { type PlacedGuest, placeGuest } from './image-regions.ts';
import { named, refuse } from './refusal.ts';

/** construct_dom0 rounds HV_START_LOW up to what one L2 entry maps. */
const L2_ENTRY_SPAN = 2 ** 21;
/** A 32-bit Xen keeps a mapping of its own there while it builds dom0. */
const LOWEST_DOM0 = 2 ** 30;

/** The guest description; of a legacy string libelf reads nothing behind a required feature that it does not know. */
function readGuest(image: ElfImage): { readonly guest: XenGuest; readonly features: FeatureSet } | undefined {
  const whole = readXenGuest(image);
  if (!whole) return undefined;
  const features = withSupported(whole);
  if (whole.source === 'notes' || features.unknown === undefined || image.xenGuest === undefined)
    return { guest: whole, features };
  const [before = ''] = image.xenGuest.split(',FEATURES=');
  const guest = decodeXenGuestString(`${before},FEATURES=${whole.features ?? ''}`);
  return { guest, features: { supported: features.supported, required: features.required } };
}

/** The note SUPPORTED_FEATURES adds its bits to those that FEATURES names. */
function withSupported({ features = '', supportedFeatures = 0 }: XenGuest): FeatureSet {
  const set = parseFeatures(features);
  return { ...set, supported: set.supported | supportedFeatures };
}

export interface XenImage extends PlacedGuest {
  readonly guest: XenGuest;
  readonly features: FeatureSet;
}

/** Every requirement, in the order in which the builder looks at it. */
export function checkGuest(image: KernelImage, builder: DomainBuilder): Startable {
  try {
    readXenImage(image, builder);
    return { ok: true };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { ok: false, code: error.code, reason: error.message };
  }
}

/**
 * @throws {ProtocolError} `needs-elf`, `no-xen-notes`, `no-xen-note`, `bad-xen-note`, `outside-memory`, `not-for-dom0`; its
 * message is a clause that goes on from "cannot be started"
 */
export function readXenImage(image: KernelImage, builder: DomainBuilder): XenImage {
  if (image.format !== 'elf') {
    throw refuse(
      'needs-elf',
      "it is a bzImage that has not been unpacked: a Xen domain builder takes the kernel proper out of its payload, and that one's notes decide",
    );
  }
  const found = readGuest(image);
  if (!found) throw refuse('no-xen-notes', 'it has neither Xen ELF notes nor a section __xen_guest');
  const { guest, features } = found;
  checkDescription(guest, features);
  const placed = placeGuest(image, guest, builder);
  checkMode(guest);
  if (builder.domain === 'dom0') checkDom0(guest, features, placed.virtBase, builder);
  return { guest, features, ...placed };
}

/** elf_xen_parse_note and elf_xen_note_check. Xen compares the first characters and no more. */
function checkDescription(guest: XenGuest, features: FeatureSet): void {
  const { loader, guestOs, xenVersion } = guest;
  if (features.unknown !== undefined) {
    throw refuse(
      'bad-xen-note',
      `its ${named(guest, 'FEATURES')} requires "${features.unknown}", which Xen does not know`,
    );
  }
  if (loader === undefined && guestOs === undefined)
    throw refuse(
      'no-xen-note',
      `it has neither a ${named(guest, 'LOADER')} nor a ${named(guest, 'GUEST_OS')}`,
    );
  if (!loader?.startsWith('generic') && !guestOs?.startsWith('linux')) {
    throw refuse(
      'bad-xen-note',
      `its ${named(guest, 'LOADER')} is "${loader ?? ''}" and GUEST_OS "${guestOs ?? ''}"; expected LOADER "generic" or GUEST_OS "linux"`,
    );
  }
  if (xenVersion === undefined) throw refuse('no-xen-note', `it has no ${named(guest, 'XEN_VERSION')}`);
  if (!xenVersion.startsWith('xen-3.0')) {
    throw refuse('bad-xen-note', `its ${named(guest, 'XEN_VERSION')} is "${xenVersion}"; expected "xen-3.0"`);
  }
}

/**
 * What libelf makes of PAE_MODE, or of PAE in a legacy string: of `yes` both; of a note besides anything with `bimodal`,
 * and of the string anything that begins with `yes`, as `yes[extended-cr3]` does.
 */
function isPae({ source, paeMode = '' }: XenGuest): boolean {
  return source === 'notes' ? paeMode === 'yes' || paeMode.includes('bimodal') : paeMode.startsWith('yes');
}

/** libxc has no builder for the type xen-3.0-x86_32, and construct_dom0 ends in "Mismatch between Xen and DOM0 kernel". */
function checkMode(guest: XenGuest): void {
  if (isPae(guest)) return;
  if (guest.paeMode === undefined) {
    throw refuse(
      'no-xen-note',
      `it has no ${named(guest, 'PAE_MODE')}, and Xen has no 32-bit guests without PAE any more`,
    );
  }
  throw refuse(
    'bad-xen-note',
    `its ${named(guest, 'PAE_MODE')} is "${guest.paeMode}"; expected ${guest.source === 'notes' ? '"yes" or "bimodal"' : '"yes" or "yes[extended-cr3]"'}`,
  );
}

/** construct_dom0: what Xen asks of the kernel that it starts itself. */
function checkDom0(
  guest: XenGuest,
  features: FeatureSet,
  virtBase: number,
  { host, supervisor }: DomainBuilder,
): void {
  if (host === 64 && guest.supportedFeatures !== undefined && !hasFeature(features.supported, 'dom0')) {
    throw refuse(
      'not-for-dom0',
      `its ${named(guest, 'SUPPORTED_FEATURES')} is ${hex(guest.supportedFeatures)}, without bit 11 (XENFEAT_dom0): it does not support dom0 operation`,
    );
  }
  const { hvStartLow } = guest;
  if (hvStartLow !== undefined && roundUp(hvStartLow, L2_ENTRY_SPAN) > M2P) {
    throw refuse(
      'bad-xen-note',
      `its ${named(guest, 'HV_START_LOW')} is ${hex(hvStartLow)}; Xen begins at ${hex(M2P)} and does not start a dom0 that expects it higher`,
    );
  }
  if (host === 32 && virtBase < LOWEST_DOM0) {
    throw refuse(
      'bad-xen-note',
      `its ${named(guest, 'VIRT_BASE')} is ${hex(virtBase)}; a 32-bit Xen loads no dom0 into the lowest 1 GiB`,
    );
  }
  if (supervisor && !hasFeature(features.supported, 'supervisor_mode_kernel')) {
    throw refuse(
      'not-for-dom0',
      `its ${named(guest, 'FEATURES')} does not name supervisor_mode_kernel: it cannot run in ring 0`,
    );
  }
  if (!supervisor && hasFeature(features.required, 'supervisor_mode_kernel')) {
    throw refuse(
      'not-for-dom0',
      `its ${named(guest, 'FEATURES')} requires supervisor_mode_kernel, which Xen has to be built for; --as xen-supervisor is such a Xen`,
    );
  }
}
