/** The text of `startup32 inspect`, from its JSON alone. */
import { NOT_UNPACKED } from '../../../boot-protocols/who-can-start.ts';
import { printable } from '../../printable.ts';
import { bare, count } from '../hex.ts';
import { paragraph, TEXT_COLUMNS, wrap } from '../lines.ts';
import { PLAIN } from '../style.ts';
import { table as columns } from '../table.ts';
import type { InspectReport } from './json.ts';

/** @returns the text, ending in a newline. */
export function inspectText(report: InspectReport): string {
  return `${[
    head(report),
    programHeaders(report),
    setupHeader(report),
    notes(report),
    sections(report),
    startable(report),
    report.warnings.flatMap(({ message }) => paragraph('note', printable(message), PLAIN)),
  ]
    .filter(block => block.length > 0)
    .map(block => block.join('\n'))
    .join('\n\n')}\n`;
}

const table = (heading: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  columns(
    rows.map(cells => ({ cells })),
    { heading },
  );

/** A name may have any length: what goes over the line stands under it. */
const folded = (line: string): string[] =>
  wrap(line, TEXT_COLUMNS - FOLD.length).map((part, index) => (index === 0 ? part : `${FOLD}${part}`));
const FOLD = '  ';

function head(report: InspectReport): string[] {
  const { name, format, size, sha256, elf, bzimage, entryPoints } = report;
  const kind = bzimage
    ? `bzImage, boot protocol ${bzimage.protocolVersion}, ${bzimage.is64Bit ? '64-bit kernel' : '32-bit kernel'}`
    : `ELF32 i386 ${elf?.type ?? format}`;
  return [
    ...folded(`${printable(name)}: ${kind}, ${count(size, 'byte')}, ${symbolCount(report)}`),
    `sha256 ${sha256}`,
    ...(bzimage?.kernelVersion === undefined ? [] : folded(`kernel version ${bzimage.kernelVersion}`)),
    ...entryPoints.map(entry => `${entry.name} ${entry.address} (${entry.space})`),
    ...(bzimage
      ? [
          `protected-mode code at file offset ${bzimage.protectedModeOffset}, loaded at ${bzimage.loadAddress}`,
        ]
      : []),
    ...(bzimage?.payload ? [payloadLine(bzimage.payload)] : []),
    ...kernelProperLines(report),
    ...(bzimage?.frontElf
      ? [
          `ELF header in front: ${bzimage.frontElf.type}, e_entry ${bzimage.frontElf.entry}${bzimage.frontElf.magic === 'ELF' ? '' : ', with a changed magic'}`,
        ]
      : []),
  ];
}

function payloadLine(payload: NonNullable<NonNullable<InspectReport['bzimage']>['payload']>): string {
  const { format, length, offset, found, decodedSize } = payload;
  const by = found === 'header' ? 'payload_offset' : 'its magic';
  const decoded =
    decodedSize === undefined || format === 'elf' ? '' : `, decodes to ${count(decodedSize, 'byte')}`;
  return `payload ${format}, ${count(length, 'byte')} at file offset ${offset} (found by ${by})${decoded}`;
}

function kernelProperLines({ container, relocations }: InspectReport): string[] {
  if (container === undefined) return [];
  const { protocolVersion, kernelVersion, size, sha256, payload } = container;
  return [
    `kernel proper out of the ${payload} payload of a bzImage: boot protocol ${protocolVersion}, ${count(size, 'byte')}`,
    `sha256 of the bzImage ${sha256}`,
    ...(kernelVersion === undefined ? [] : folded(`kernel version ${kernelVersion}`)),
    relocations === undefined
      ? 'no relocation list: not relocatable'
      : `relocation list of ${count(relocations.words, 'word')}, linked for ${relocations.linkedAt} (physical)`,
  ];
}

/** Those of the file itself are the ordinary case, and need no word. */
function symbolCount({ symbols, symbolSource }: InspectReport): string {
  if (symbols === 0) return 'no symbols';
  const source = symbolSource === 'kallsyms' || symbolSource === 'System.map' ? ` from ${symbolSource}` : '';
  return `${count(symbols, 'symbol')}${source}`;
}

function programHeaders({ elf, bzimage }: InspectReport): string[] {
  const headers = elf?.programHeaders ?? bzimage?.frontElf?.programHeaders;
  if (!headers) return [];
  const rows = headers.map(h => [
    h.type,
    h.offset,
    bare(h.virtual),
    bare(h.physical),
    String(h.fileSize),
    String(h.memorySize),
    h.flags,
    h.align,
  ]);
  return [
    'program headers',
    ...table(['type', 'offset', 'vaddr', 'paddr', 'filesz', 'memsz', 'flags', 'align'], rows),
  ];
}

function setupHeader({ bzimage }: InspectReport): string[] {
  if (!bzimage) return [];
  const rows = bzimage.setupHeader.map(field => [
    field.offset,
    field.name,
    field.value,
    field.bits?.join(' ') ?? '',
  ]);
  return ['setup header', ...table(['offset', 'field', 'value', 'bits'], rows)];
}

function notes({ notes: all }: InspectReport): string[] {
  if (all.length === 0) return [];
  return [
    'notes',
    ...table(
      ['offset', 'owner', 'type', 'value'],
      all.map(n => [n.offset, n.owner, n.type, n.value]),
    ),
  ];
}

function sections({ elf }: InspectReport): string[] {
  if (!elf || elf.sections.length === 0) return [];
  const rows = elf.sections
    .filter(section => section.name !== '')
    .map(section => [section.name, bare(section.address), section.offset, String(section.size)]);
  return ['sections', ...table(['name', 'address', 'offset', 'size'], rows)];
}

/** The first line of the text names the file. */
const withoutName = (reason: string, name: string): string =>
  reason.startsWith(`${name}: `) ? reason.slice(name.length + 2) : reason.replaceAll(name, 'the image');

function startable({ name, protocols }: InspectReport): string[] {
  if (protocols.length === 0) return [];
  return [
    'can be started as',
    ...table(
      ['protocol', 'answer', 'reason'],
      protocols.map(({ name: protocol, startable: yes, code, reason = '' }) => [
        protocol,
        yes ? 'yes' : code === NOT_UNPACKED ? '?' : 'no',
        yes ? '' : printable(`${withoutName(reason, name)} (${code})`),
      ]),
    ),
  ];
}
