/** start_info and what goes with it, as libxc writes it for a domU and Xen itself for dom0. */
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { XenHost } from '../protocol.ts';
import { hex, type Range } from '../regions.ts';
import { type Filled, type FilledStructure, fillStructure } from '../structure.ts';
import { BUILDER_SOURCE, type DomainBuilder } from './builder.ts';
import {
  GUEST_TYPE,
  SIF_INITDOMAIN,
  SIF_MOD_START_PFN,
  SIF_PRIVILEGED,
  SIF_VIRT_P2M_4TOOLS,
  START_INFO,
  spellFlags,
  VGA_INFO_OFFSET,
  vgaInfoLayout,
} from './structures.ts';

// Event channels of a domU, in the order in which libxl allocates them.
const STORE_EVTCHN = 1;
const CONSOLE_EVTCHN = 2;

/** XEN_VGATYPE_TEXT_MODE_3, in 80 x 25 characters of 16 lines: what the machine's BIOS has left. */
const TEXT_MODE_3 = { type: 3, rows: 25, columns: 80, fontHeight: 16 } as const;

export interface StartInfoFacts {
  readonly nrPages: number;
  /** Machine addresses. */
  readonly sharedInfo: number;
  readonly rings: { readonly store: number; readonly console: number } | undefined;
  /** Virtual addresses. */
  readonly pageTables: number;
  readonly p2m: number;
  /** Where there are none, the domain has no page tables of its own. */
  readonly tables: number;
  readonly initrd: Range | undefined;
  /** MOD_START_PFN: the frame that the initrd begins in. */
  readonly initrdPfn: number | undefined;
  /** Without NUL. */
  readonly cmdline: string;
  readonly firstPages: number | undefined;
}

const pfnOf = (address: number): number => address / PAGE_SIZE;

function startInfoFlags({ domain, host }: DomainBuilder, initrdPfn: number | undefined): number {
  const moduleByPfn = initrdPfn === undefined ? 0 : SIF_MOD_START_PFN;
  if (domain === 'dom0') return SIF_PRIVILEGED | SIF_INITDOMAIN | moduleByPfn;
  return (host === 64 ? SIF_VIRT_P2M_4TOOLS : 0) | moduleByPfn;
}

export function startInfo(builder: DomainBuilder, facts: StartInfoFacts): FilledStructure {
  const { initrd, initrdPfn, rings, firstPages } = facts;
  const flags = startInfoFlags(builder, initrdPfn);
  const fields: Record<string, Filled> = {
    magic: { value: GUEST_TYPE, meaning: 'a 32-bit PAE domain' },
    nr_pages: { value: facts.nrPages, meaning: 'pages of the domain' },
    shared_info: { value: facts.sharedInfo, meaning: 'machine address; not mapped' },
    ...(flags === 0 ? {} : { flags: { value: flags, meaning: spellFlags(flags) } }),
    ...consoleFields(builder, rings),
    pt_base: { value: facts.pageTables, meaning: 'L3 table (virtual)' },
    nr_pt_frames: { value: facts.tables, meaning: 'pages of page tables' },
    mfn_list: { value: facts.p2m, meaning: 'phys-to-machine list (virtual)' },
    ...(facts.cmdline === '' ? {} : { cmd_line: { value: facts.cmdline } }),
    ...(firstPages === undefined
      ? {}
      : { first_p2m_pfn: { value: firstPages, meaning: 'pages at the time when the tables were made' } }),
  };
  if (initrd) {
    fields.mod_start =
      initrdPfn === undefined
        ? { value: initrd.start, meaning: 'initrd (virtual)' }
        : {
            value: initrdPfn,
            meaning: `initrd (page frame number); at ${hex(initrd.start)} here, not mapped`,
          };
    fields.mod_len = {
      value: initrd.size,
      meaning: builder.domain === 'domU' ? 'bytes of the initrd, in whole pages' : 'bytes of the initrd',
    };
  }
  return fillStructure(START_INFO[builder.domain], fields, BUILDER_SOURCE[builder.domain][builder.host]);
}

function consoleFields(
  { domain, host }: DomainBuilder,
  rings: StartInfoFacts['rings'],
): Record<string, Filled> {
  if (domain === 'dom0') {
    return {
      'console.dom0.info_off': {
        value: VGA_INFO_OFFSET[host],
        meaning: 'offset of dom0_vga_console_info from start_info: the size that start_info has in this Xen',
      },
      'console.dom0.info_size': {
        value: vgaInfoLayout(host).size,
        meaning: 'bytes of dom0_vga_console_info',
      },
    };
  }
  if (!rings) return {};
  return {
    store_mfn: { value: pfnOf(rings.store), meaning: 'machine frame of the xenstore page' },
    store_evtchn: { value: STORE_EVTCHN, meaning: 'event channel of xenstore' },
    'console.domU.mfn': { value: pfnOf(rings.console), meaning: 'machine frame of the console page' },
    'console.domU.evtchn': { value: CONSOLE_EVTCHN, meaning: 'event channel of the console' },
  };
}

/** Of dom0: the machine's console as the boot loader left it, on the page of start_info. */
export const vgaInfo = (host: XenHost): FilledStructure =>
  fillStructure(
    vgaInfoLayout(host),
    {
      video_type: { value: TEXT_MODE_3.type, meaning: 'XEN_VGATYPE_TEXT_MODE_3' },
      'u.text_mode_3.font_height': { value: TEXT_MODE_3.fontHeight },
      'u.text_mode_3.rows': { value: TEXT_MODE_3.rows },
      'u.text_mode_3.columns': { value: TEXT_MODE_3.columns },
    },
    host === 64 ? 'Xen 4.14 xen/drivers/video/vga.c' : 'Xen 4.2 xen/drivers/video/vga.c',
  );
