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
