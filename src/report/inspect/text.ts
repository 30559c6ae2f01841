/** The text of `startup32 inspect`, from its JSON alone. */
import { printable } from '../../printable.ts';
import { bare, count } from '../hex.ts';
import { PLAIN } from '../style.ts';
import { paragraph, TEXT_COLUMNS, wrap } from '../wrap.ts';
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

/** Columns as wide as their widest cell. */
function table(heading: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [heading, ...rows];
  const widths = heading.map((_, column) => Math.max(...all.map(row => (row[column] ?? '').length)));
  return all.map(row =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

function head({ name, format, size, sha256, elf, bzimage, entryPoints, symbols }: InspectReport): string[] {
  const kind = bzimage
    ? `bzImage, boot protocol ${bzimage.protocolVersion}, ${bzimage.is64Bit ? '64-bit kernel' : '32-bit kernel'}`
    : `ELF32 i386 ${elf?.type ?? format}`;
  return [
    `${printable(name)}: ${kind}, ${count(size, 'byte')}, ${symbols === 0 ? 'no symbols' : count(symbols, 'symbol')}`,
    `sha256 ${sha256}`,
    ...(bzimage?.kernelVersion === undefined ? [] : [`kernel version ${bzimage.kernelVersion}`]),
    ...entryPoints.map(entry => `${entry.name} ${entry.address} (${entry.space})`),
    ...(bzimage
      ? [
          `protected-mode code at file offset ${bzimage.protectedModeOffset}, loaded at ${bzimage.loadAddress}`,
        ]
      : []),
    ...(bzimage?.payload
      ? [
          `payload ${bzimage.payload.format}, ${count(bzimage.payload.length, 'byte')} at file offset ${bzimage.payload.offset}`,
        ]
      : []),
  ];
}

function programHeaders({ elf }: InspectReport): string[] {
  if (!elf) return [];
  const rows = elf.programHeaders.map(h => [
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

/** Two columns of indent, `protocol`, `answer`, and two spaces after each. */
const REASON_COLUMNS = TEXT_COLUMNS - 2 - 'protocol  '.length - 'answer  '.length;

/** The first line of the text names the file. */
const withoutName = (reason: string, name: string): string =>
  reason.startsWith(`${name}: `) ? reason.slice(name.length + 2) : reason.replaceAll(name, 'the image');

function startable({ name, protocols }: InspectReport): string[] {
  if (protocols.length === 0) return [];
  return [
    'can be started as',
    ...table(
      ['protocol', 'answer', 'reason'],
      protocols.flatMap(({ name: protocol, startable: yes, code, reason = '' }) =>
        wrap(yes ? '' : printable(`${withoutName(reason, name)} (${code})`), REASON_COLUMNS).map(
          (line, index) => (index === 0 ? [protocol, yes ? 'yes' : 'no', line] : ['', '', line]),
        ),
      ),
    ),
  ];
}
