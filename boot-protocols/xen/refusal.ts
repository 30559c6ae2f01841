/** What a Xen domain builder refuses, and how that is said. */
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import type { XenGuest } from '../../src/kernel-image/xen-notes.ts';
import { type BootProtocol, ProtocolError } from '../protocol.ts';

const LEGACY_KEYS: Readonly<Record<string, string>> = {
  XEN_VERSION: 'XEN_VER',
  PAE_MODE: 'PAE',
  ENTRY: 'VIRT_ENTRY',
  PADDR_OFFSET: 'ELF_PADDR_OFFSET',
};

/** `note PAE_MODE`, or `key PAE of section __xen_guest`. */
export const named = ({ source }: XenGuest, note: string): string =>
  source === 'notes' ? `note ${note}` : `key ${LEGACY_KEYS[note] ?? note} of section __xen_guest`;

/** @param reason a clause that goes on from "cannot be started" */
export const refuse = (code: string, reason: string): ProtocolError => new ProtocolError(code, reason);

/**
 * Whatever reads an image for a protocol, with a refusal as a whole sentence.
 *
 * @throws {ProtocolError} that `read` throws
 */
export function readNamed<T>(protocol: BootProtocol, image: KernelImage, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new ProtocolError(
      error.code,
      `${image.name} cannot be started by ${protocol.name}: ${error.message}`,
    );
  }
}
