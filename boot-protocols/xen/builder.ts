/**
 * Who builds a domain. A domU is libxc's, dom0 is Xen's own. A 64-bit Xen is 4.14; the last 32-bit one was the 4.2 series,
 * and its libxc is the one that goes with it.
 */
import type { XenHost } from '../protocol.ts';

export type DomainKind = 'domU' | 'dom0';

export interface DomainBuilder {
  readonly domain: DomainKind;
  readonly host: XenHost;
  /** Xen was built with supervisor_mode_kernel=y: the kernel is in ring 0. */
  readonly supervisor: boolean;
}

// Xen's own part of the address space (PAE): arch-x86/xen-x86_32.h
export const M2P = 0xf5800000;
export const M2P_END = 0xf6800000;
/** The files that say what a builder does, by what it builds. */
export const BUILDER_SOURCE = {
  domU: { 32: 'Xen 4.2 tools/libxc/xc_dom_x86.c', 64: 'Xen 4.14 tools/libxc/xc_dom_x86.c' },
  dom0: { 32: 'Xen 4.2 xen/arch/x86/domain_build.c', 64: 'Xen 4.14 xen/arch/x86/pv/dom0_build.c' },
} as const satisfies Record<DomainKind, Record<XenHost, string>>;
