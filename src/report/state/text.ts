/** The text of `startup32 state`, from its JSON alone. */
import { printable } from '../../printable.ts';
import { paragraph } from '../lines.ts';
import { COLOURED, PLAIN, type Style } from '../style.ts';
import { type Row, table } from '../table.ts';
import { controlText, registersText, segmentsText } from './cpu-text.ts';
import { memoryText, pagingText } from './memory-text.ts';
import type { StatePlatform, StateReport } from './report.ts';
import { structureText } from './structure-text.ts';

export interface StateTextOptions {
  /** ANSI colour; default off. */
  readonly color?: boolean;
  /** Fields of structures that no one wrote too. */
  readonly all?: boolean;
}

/** @returns the text, ending in a newline. */
export function stateText(
  report: StateReport,
  { color = false, all = false }: StateTextOptions = {},
): string {
  const style = color ? COLOURED : PLAIN;
  return `${[
    [style.strong(headline(report))],
    registersText(report, style),
    segmentsText(report, style),
    controlText(report, style),
    pagingText(report, style),
    memoryText(report, style),
    ...report.structures.map(structure => structureText(structure, all, style)),
    platformText(report, style),
    origin(report, style),
  ]
    .map(block => block.join('\n'))
    .join('\n\n')}\n`;
}

function headline({ image, protocol, ring, eip, paging }: StateReport): string {
  const place = eip.symbol === undefined ? eip.value : `${eip.symbol} (${eip.value})`;
  return printable(`${image.name} as ${protocol}: ring ${ring}, paging ${paging.mode}, starts at ${place}`);
}

const HYPERVISORS: Readonly<Record<Exclude<StatePlatform['hypervisor'], 'none'>, string>> = {
  lguest: 'lguest',
  xen: 'Xen',
  generic: 'one that no protocol names',
};

function hypervisorInWords({ ring, platform: { hypervisor } }: StateReport): string {
  if (hypervisor === 'none') return 'none: traps go to the kernel';
  const own = ring === 0 ? 'the kernel shares ring 0 with it' : 'it owns ring 0';
  return `${HYPERVISORS[hypervisor]}: ${own}, and it gets every trap`;
}

/** The instructions that are hypercalls. */
const hypercallsInWords = ({ hypercallVectors, vmcall }: StatePlatform): string =>
  [...hypercallVectors.map(vector => `int $${vector}`), ...(vmcall ? ['vmcall'] : [])].join(', ');

function platformText(report: StateReport, style: Style): string[] {
  const { platform } = report;
  const { hypercallArguments, openVectors, cpuModel } = platform;
  const { hypercallMsr, hypercallPage, hypercallEntry, serviceEntries = [], instead = {} } = platform;
  const calls = hypercallsInWords(platform);
  const registers = (names: readonly string[]): string =>
    names.length === 0 ? 'no arguments' : `arguments in ${names.join(', ').toUpperCase()}`;
  const row = (label: string, text: string | undefined): Row[] =>
    text === undefined || text === '' ? [] : [{ cells: [label, printable(text)] }];
  const rows = [
    ...row('hypervisor', hypervisorInWords(report)),
    ...row('hypercall', calls),
    ...row('', hypercallArguments && `number in EAX, ${registers(hypercallArguments)}`),
    ...row('hypercall page', hypercallPage && `${hypercallPage} (linear)`),
    ...row('', hypercallEntry && `its entries call ${hypercallEntry}`),
    ...row('hypercall page', hypercallMsr && `filled by WRMSR of its address to ${hypercallMsr}`),
    ...serviceEntries.flatMap(({ address, number, arguments: names }) =>
      row('ROM service', `${address}: hypercall ${number}, ${registers(names)}`),
    ),
    ...row(
      'open vectors',
      openVectors && openVectors.length > 0
        ? `${openVectors.join(', ')}: INT3 and INTO may raise them`
        : undefined,
    ),
    ...row(
      'instead of',
      Object.entries(instead)
        .map(([rule, by]) => `${rule}: ${by}`)
        .join('; '),
    ),
    ...row('CPU model', cpuModel),
  ];
  return [style.strong('platform'), ...table(rows, { style })];
}

function origin({ image, protocol, knobs, warnings }: StateReport, style: Style): string[] {
  const settings = Object.entries(knobs).map(([name, value]) => `${name}=${printable(value)}`);
  return [
    ...paragraph('image', `${printable(image.name)} (${image.format}, ${image.size} bytes)`, style),
    ...paragraph('sha256', image.sha256, style),
    ...paragraph('as', [protocol, ...settings].join(' '), style),
    ...warnings.flatMap(({ message }) => paragraph('note', printable(message), style)),
  ];
}
