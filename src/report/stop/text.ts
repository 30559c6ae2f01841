/** The text report, from the JSON report and nothing else. */
import { printable } from '../../printable.ts';
import { flagTable } from '../flags.ts';
import { handOverLines } from '../hand-over/text.ts';
import { bare } from '../hex.ts';
import { paragraph } from '../lines.ts';
import { silentLines } from '../observations/text.ts';
import { COLOURED, PLAIN, type Style } from '../style.ts';
import { registerDump } from './registers.ts';
import type { StopReport } from './report.ts';

export interface TextOptions {
  /** ANSI colour; default off. */
  readonly color?: boolean;
}

/** How many of the last blocks the text shows; JSON has all. */
const TRAIL_SHOWN = 8;
/** `0f 01 15 20 01 10 00`: seven bytes, as objdump reserves. */
const BYTES_WIDTH = 7 * 3 - 1;

/** @returns the report, ending in a newline. */
export function textReport(report: StopReport, { color = false }: TextOptions = {}): string {
  const style = color ? COLOURED : PLAIN;
  return `${[
    [style.strong(report.headline)],
    [record(report)],
    disassembly(report, style),
    paragraphs(report, style),
    flagTable(report.eflags, style),
    silentLines(report.observations, style),
    handOverLines(report.handOver, style),
    registerDump(report.cpu),
    trail(report, style),
    serial(report, style),
    origin(report, style),
  ]
    .filter(block => block.length > 0)
    .map(block => block.join('\n'))
    .join('\n\n')}\n`;
}

/** QEMU's `-d int` record (target/i386/tcg/seg_helper.c) with iopl and the instruction's ordinal added. */
function record({ kind, exception, facts, at, cpu, instructions, counted }: StopReport): string {
  const trap = exception
    ? `trap v=${bare(exception.vector)} e=${bare(exception.errorCode ?? '0x0000')}`
    : 'stop';
  const cr2 = kind === 'page-fault' ? ` CR2=${bare(String(facts.address))}` : '';
  return (
    `${trap} cpl=${cpu.cpl} iopl=${cpu.iopl} IP=${bare(cpu.segments.cs.selector)}:${bare(cpu.eip)} ` +
    `pc=${bare(at.address)} SP=${bare(cpu.segments.ss.selector)}:${bare(cpu.esp)}${cr2}` +
    `   instruction ${counted ? '' : '>= '}${instructions + 1}`
  );
}

function disassembly({ code }: StopReport, style: Style): string[] {
  if (code.lines.length === 0) return [];
  const lines = code.lines.map(({ address, bytes, text, current }) => {
    const line = `${bare(address)}:  ${bytes.padEnd(BYTES_WIDTH)}  ${text}`;
    return current ? style.mark(`=> ${line}`) : `   ${line}`;
  });
  // The first byte of the instruction in angle brackets, as Linux prints it and scripts/decodecode reads it.
  const bytes = code.bytes.split(' ').map((byte, index) => (index === code.mark ? `<${byte}>` : byte));
  return [...lines, `   Code: ${bytes.join(' ')}`];
}

function paragraphs({ why, means, next, details }: StopReport, style: Style): string[] {
  const meaning = means.citation === undefined ? means.text : `${means.text} (${means.citation})`;
  return [
    ...paragraph('why', why.text, style),
    ...details.flatMap(detail => paragraph('', detail, style)),
    ...paragraph('means', meaning, style),
    ...next.flatMap((line, index) => paragraph(index === 0 ? 'next' : '', line, style)),
  ];
}

function trail({ trail: places }: StopReport, style: Style): string[] {
  const shown = places.slice(-TRAIL_SHOWN).map(({ address, symbol }) => symbol ?? address);
  if (shown.length < 2) return [];
  const skipped = places.length > shown.length ? '… ' : '';
  return paragraph('trail', `${skipped}${shown.join(' > ')}`, style);
}

function serial({ serial: output }: StopReport, style: Style): string[] {
  if (output === undefined || output === '') return [];
  const lines = output.replaceAll('\r', '').replace(/\n$/, '').split('\n');
  return [style.faint('serial'), ...lines.map(line => `| ${printable(line, '\t')}`)];
}

/** What makes the run repeatable. */
function origin(report: StopReport, style: Style): string[] {
  const { engine, cpuModel, image, protocol, knobs, command, warnings } = report;
  const settings = Object.entries(knobs).map(([name, value]) => `${name}=${value}`);
  return [
    ...paragraph('engine', `${engine.name} ${engine.version}, CPU model ${cpuModel}`, style),
    ...paragraph('image', `${printable(image.name)} (${image.format}, ${image.size} bytes)`, style),
    ...paragraph('sha256', image.sha256, style),
    ...paragraph('as', [protocol, ...settings].join(' '), style),
    ...(report.traceHash === undefined ? [] : paragraph('trace', report.traceHash, style)),
    ...(command === undefined ? [] : [`${style.faint('repeat')} ${command}`]),
    ...warnings.flatMap(({ message }) => paragraph('note', printable(message), style)),
  ];
}
