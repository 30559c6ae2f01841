/** Structures of the 32-bit Xen ABI in bytes: Xen 4.14 xen/include/public/xen.h and arch-x86/xen-x86_32.h. */
import type { XenHost } from '../protocol.ts';
import { type FilledStructure, fillStructure, type LayoutField, type StructureLayout } from '../structure.ts';
import type { DomainKind } from './builder.ts';

const XEN_H = 'Xen 4.14 xen/include/public/xen.h';

/** The guest type of a 32-bit PAE domain (libelf and libxc). */
export const GUEST_TYPE = 'xen-3.0-x86_32p';

/** cmd_line, with its NUL. */
export const MAX_GUEST_CMDLINE = 1024;

// start_info.flags.
export const SIF_PRIVILEGED = 0x1;
export const SIF_INITDOMAIN = 0x2;
export const SIF_MOD_START_PFN = 0x8;
export const SIF_VIRT_P2M_4TOOLS = 0x10;
const FLAG_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [SIF_PRIVILEGED, 'SIF_PRIVILEGED'],
  [SIF_INITDOMAIN, 'SIF_INITDOMAIN'],
  [SIF_MOD_START_PFN, 'SIF_MOD_START_PFN'],
  [SIF_VIRT_P2M_4TOOLS, 'SIF_VIRT_P2M_4TOOLS'],
];

const word = (name: string, offset: number): LayoutField => ({ name, offset, size: 4 });

/** struct start_info, 32-bit layout. The union `console` has two words, which mean something else in dom0. */
export const START_INFO: Readonly<Record<DomainKind, StructureLayout>> = {
  domU: startInfo(['console.domU.mfn', 'console.domU.evtchn']),
  dom0: startInfo(['console.dom0.info_off', 'console.dom0.info_size']),
};

function startInfo([first, second]: readonly [string, string]): StructureLayout {
  return {
    name: 'start_info',
    size: 0x458,
    citation: XEN_H,
    fields: [
      { name: 'magic', offset: 0x00, size: 32, as: 'text' },
      word('nr_pages', 0x20),
      word('shared_info', 0x24),
      word('flags', 0x28),
      word('store_mfn', 0x2c),
      word('store_evtchn', 0x30),
      word(first, 0x34),
      word(second, 0x38),
      word('pt_base', 0x3c),
      word('nr_pt_frames', 0x40),
      word('mfn_list', 0x44),
      word('mod_start', 0x48),
      word('mod_len', 0x4c),
      { name: 'cmd_line', offset: 0x50, size: MAX_GUEST_CMDLINE, as: 'text' },
      word('first_p2m_pfn', 0x450),
      word('nr_p2m_frames', 0x454),
    ],
  };
}

/** struct dom0_vga_console_info, for text mode: Xen 4.14 has a field more than 4.2 in the part for frame buffers. */
const VGA_INFO_SIZE: Readonly<Record<XenHost, number>> = { 32: 0x24, 64: 0x28 };
/** sizeof(struct start_info) as the Xen itself has it: that of a 64-bit one is larger than the guest's. */
export const VGA_INFO_OFFSET: Readonly<Record<XenHost, number>> = { 32: 0x458, 64: 0x490 };

const half = (name: string, offset: number): LayoutField => ({
  name: `u.text_mode_3.${name}`,
  offset,
  size: 2,
});

export const vgaInfoLayout = (host: XenHost): StructureLayout => ({
  name: 'dom0_vga_console_info',
  size: VGA_INFO_SIZE[host],
  citation: XEN_H,
  fields: [
    { name: 'video_type', offset: 0, size: 1 },
    half('font_height', 4),
    half('cursor_x', 6),
    half('cursor_y', 8),
    half('rows', 10),
    half('columns', 12),
  ],
});

/** XEN_LEGACY_MAX_VCPUS. */
const LEGACY_MAX_VCPUS = 32;
const VCPU_INFO_SIZE = 0x40;
const EVTCHN_UPCALL_MASK = 1;

/** struct shared_info, 32-bit layout. */
const SHARED_INFO: StructureLayout = {
  name: 'shared_info',
  size: 0x928,
  citation: `${XEN_H}; arch-x86/xen.h`,
  fields: [
    { name: 'vcpu_info[0].evtchn_upcall_pending', offset: 0, size: 1 },
    { name: 'vcpu_info[0].evtchn_upcall_mask', offset: EVTCHN_UPCALL_MASK, size: 1 },
    word('vcpu_info[0].evtchn_pending_sel', 4),
    word('vcpu_info[0].arch.cr2', 8),
    { name: 'vcpu_info[0].time', offset: 0x20, size: 0x20 },
    { name: 'vcpu_info[1..31]', offset: VCPU_INFO_SIZE, size: (LEGACY_MAX_VCPUS - 1) * VCPU_INFO_SIZE },
    { name: 'evtchn_pending', offset: 0x800, size: 0x80 },
    { name: 'evtchn_mask', offset: 0x880, size: 0x80 },
    word('wc_version', 0x900),
    word('wc_sec', 0x904),
    word('wc_nsec', 0x908),
    word('arch.max_pfn', 0x90c),
    word('arch.pfn_to_mfn_frame_list_list', 0x910),
    word('arch.nmi_reason', 0x914),
    word('arch.p2m_cr3', 0x918),
    word('arch.p2m_vaddr', 0x91c),
    word('arch.p2m_generation', 0x920),
    word('arch.wc_sec_hi', 0x924),
  ],
};

export const spellFlags = (flags: number): string =>
  FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0)
    .map(([, name]) => name)
    .join(' ');

/** Event delivery starts masked on every VCPU (libxc shared_info_x86_32; construct_dom0). */
export function sharedInfo(citation: string): FilledStructure {
  const others = new Uint8Array((LEGACY_MAX_VCPUS - 1) * VCPU_INFO_SIZE);
  for (let at = EVTCHN_UPCALL_MASK; at < others.length; at += VCPU_INFO_SIZE) others[at] = 1;
  return fillStructure(
    SHARED_INFO,
    {
      'vcpu_info[0].evtchn_upcall_mask': { value: 1, meaning: 'no event is delivered' },
      'vcpu_info[1..31]': { value: others, meaning: 'evtchn_upcall_mask 1 in each' },
    },
    citation,
  );
}

/** A table of 32-bit words. */
export function encodeWords(count: number, word: (index: number) => number): Uint8Array {
  const bytes = new Uint8Array(count * 4);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) view.setUint32(index * 4, word(index), true);
  return bytes;
}
