/** `docs/systems.md`, made from the table of systems. */
import type { ProtocolName } from '../../../boot-protocols/protocol.ts';
import { type Cell, INSTRUCTIONS, type Row, readTable, rowTitle, type Started } from './table.ts';

const HEAD = `# Which system starts which kernel

Real kernels under every protocol with its own values of the knobs, and where each stops first. The images are of Debian 12
and 11 (\`test/real/fetch.sh\` fetches them); *its kernel proper* is what \`--payload\` takes out of the bzImage. The protocols
that unpack a bzImage by themselves get the kernel proper in either row. The same table is asserted on both engines
(\`test/real/systems/\`); it is made from \`table.json\` by \`npm run docs\`.

*refused* names the code of the error with which a protocol declines an image; *runs on* means that nothing stopped the
kernel in ${INSTRUCTIONS.toLocaleString('en-US')} instructions.

## Cells that surprise

**A Debian kernel runs on, and its kernel proper does not** (\`pc\`, \`kexec\`). The bzImage is still in its decompressor after so
many instructions. The kernel proper comes to its microcode loader, C code that runs before paging; the stack protector in it
reads its canary, a variable behind FS, at the address of the link (from Linux 5.12 on, and in stable
releases of 5.10). On a PC nothing
answers there: the function reads all ones, keeps them, reads all ones again when it returns, finds them equal, and the
kernel goes on. startup32 ends at the first access to memory that is not there. \`--cpu i686-hv\` goes on: under a hypervisor
Linux leaves the loader out, which is why it runs on as [vmi](protocols/vmi.md).

**The \`686-pae\` kernels stop in \`xen_prepare_pvh\`** (\`pvh\`). That is the same canary, with paging on and FS null. By the sources
it ends so on a real Xen: see [pvh](protocols/pvh.md).

**The \`686-pae\` kernels have Xen notes, and \`xen\` refuses them.** What is missing is ENTRY. Linux gave its 32-bit entry for Xen
up in 5.9 and kept the other notes for PVH. Without ENTRY a domain builder takes \`e_entry\` for a virtual address; it is
\`0x01000000\`, a physical one, and the image is at \`0xc1000000\`: see [xen](protocols/xen.md).

**lguest and xen-startup32 stop at the second instruction of every kernel from 5.7 on.** \`cli\` is what KEEP_SEGMENTS kept a
kernel from, and 5.7 no longer looks at it. The kernel proper comes to \`lgdt\` instead.

**\`grub-i386-xen.bin\` starts as \`xen-startup32\`, \`startup-paravirt\` and \`contract\`.** It is linked at 0 with VIRT_BASE 0, so that its virtual
addresses are physical ones and any 1:1 start will do, and it brings a stack of its own. But what it takes for \`start_info\` in
\`%esi\` is \`boot_params\`, or nothing: it gets as far as its first hypercall, which does not need it. As \`pc\` or \`lguest\` it finds its
place taken: there is no RAM at \`0xa0000\`, and \`boot_params\` is at 0.

**\`grub-i386-xen_pvh.bin\` halts as \`pc\`, \`kexec\` and \`vmi\`.** Its \`e_entry\` is its PVH entry. It looks for Xen by \`cpuid\`, finds none,
and stops for good.
`;

const place = ({ kind, at, instruction, hypercall }: Started): string =>
  kind === 'budget'
    ? 'runs on'
    : [
        `\`${kind}\``,
        ...(at === undefined ? [] : [`at \`${at}\``]),
        ...(instruction === undefined ? [] : [`\`${instruction}\``]),
        ...(hypercall === undefined ? [] : [`(${hypercall})`]),
      ].join(' ');

function cellText(cell: Cell): string {
  if ('refused' in cell) return `refused: \`${cell.refused}\``;
  const others = Object.entries(cell.but ?? {}).map(([engine, started]) => `; ${engine}: ${place(started)}`);
  return place(cell) + others.join('');
}

const section = (row: Row): string =>
  [
    `## ${rowTitle(row)}`,
    '',
    '| as | result |',
    '|---|---|',
    ...(Object.entries(row.cells) as [ProtocolName, Cell][]).map(
      ([name, cell]) => `| [${name}](protocols/${name}.md) | ${cellText(cell)} |`,
    ),
    '',
  ].join('\n');

export const systemsPage = (): string => [HEAD, ...readTable().map(section)].join('\n');
