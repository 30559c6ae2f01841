/**
 * The CRC-32 in the last four bytes of a bzImage (boot.rst "The image CRC", since boot protocol 2.08): polynomial
 * 0x04c11db7, initial value 0xffffffff, no final exclusive-or, so that the CRC of setup and protected-mode code is 0.
 */
import { hex, u16, u32 } from '../bytes.ts';
import type { Warning } from '../kernel-image.ts';
import { PARAGRAPH, type SetupHeader } from '../setup-header.ts';
import { crc32 } from './codecs/checksums.ts';

const VERSION_CRC = 0x0208;
const WORD = 4;

/**
 * A wrong CRC is a warning. Not looked at are images that have none: those without a payload (memtest86+ and other users
 * of the boot protocol), those whose last word is 0 (Linux 6.15 gave the CRC up and leaves room for it), and those that
 * were signed for Secure Boot, which changes the file afterwards.
 *
 * @param start of the protected-mode code in the file
 */
export function checkImageCrc(
  bytes: Uint8Array,
  setup: SetupHeader,
  start: number,
  warnings: Warning[],
): void {
  const field = (wanted: string): number =>
    Number(setup.fields.find(({ name }) => name === wanted)?.value ?? 0);
  if (setup.version < VERSION_CRC || field('payload_length') === 0) return;
  const end = start + field('syssize') * PARAGRAPH;
  if (end > bytes.length || end - WORD < start) return;
  const stored = u32(bytes, end - WORD);
  if (stored === 0 || isSigned(bytes)) return;
  const computed = ~crc32(bytes.subarray(0, end - WORD)) >>> 0;
  if (stored !== computed) {
    warnings.push({
      code: 'image-crc',
      message: `the CRC32 at offset ${hex(end - WORD)} is ${hex(stored)}, and the bytes before it give ${hex(computed)}: the file is not as it was built`,
    });
  }
}

/** The PE header that the EFI stub makes of the file, when its Certificate Table (PE/COFF section 3.4.3) has a size. */
function isSigned(bytes: Uint8Array): boolean {
  const PE_OFFSET = 0x3c;
  const SIGNATURE = 0x4550;
  const OPTIONAL_HEADER = 24;
  const PE32_PLUS = 0x20b;
  const CERTIFICATES = 4;
  const pe = u32(bytes, PE_OFFSET);
  if (pe + OPTIONAL_HEADER + 0x100 > bytes.length || u32(bytes, pe) !== SIGNATURE) return false;
  const optional = pe + OPTIONAL_HEADER;
  const directories = optional + (u16(bytes, optional) === PE32_PLUS ? 112 : 96);
  return u32(bytes, directories + CERTIFICATES * 8 + 4) !== 0;
}
