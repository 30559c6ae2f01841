/** What passed silently: observations of a Stop as JSON, and from that the lines of the text report. */
import type { FlagRow } from '../../emulator/flags.ts';
import type { Observation, ObservedPlace } from '../../emulator/observation.ts';
import { disassemble, type Syntax } from './disassemble.ts';
import { hex32, hexBytes } from './hex.ts';
import type { Names } from './names.ts';
import type { FlagReport, ObservationReport, ObservedPlaceReport } from './observation-report.ts';
import { sightReport } from './sights.ts';
import type { Style } from './style.ts';
import { TEXT_COLUMNS, wrap } from './wrap.ts';

export const flagReport = ({ flag, before, requested, after }: FlagRow): FlagReport => ({
  flag,
  before,
  requested,
  after,
});

export function observationReports(
  observations: readonly Observation[],
  names: Names,
  syntax: Syntax,
): ObservationReport[] {
  return observations.map(observation => {
    const { rule, count, counted, first, place, saw, bare, differs, lost } = observation;
    const at = (where: ObservedPlace): ObservedPlaceReport => placeReport(where, counted, names, syntax);
    return {
      rule,
      count,
      counted,
      first: at(first),
      ...(place.address !== first.address && { place: at(place) }),
      saw: sightReport(saw),
      bare: sightReport(bare),
      differs,
      ...(lost && { lost: lost.map(flagReport) }),
    };
  });
}

function placeReport(
  { address, bytes, instruction }: ObservedPlace,
  counted: boolean,
  names: Names,
  syntax: Syntax,
): ObservedPlaceReport {
  const symbol = names.symbol(address);
  return {
    address: hex32(address),
    ...(symbol !== undefined && { symbol }),
    bytes: hexBytes(bytes),
    text: (disassemble(bytes, address, syntax, 1)[0]?.text ?? '').replace(/\s+/g, ' '),
    ...(counted && { instructions: instruction }),
  };
}

const INDENT = '   ';
/** Continuation lines stand further in than the first. */
const HANGING = `${INDENT}   `;

/** One entry a rule, in the order of the first places. */
export function silentLines(observations: readonly ObservationReport[], style: Style): string[] {
  if (observations.length === 0) return [];
  return [style.faint('passed silently'), ...observations.flatMap(entry)];
}

function entry(observation: ObservationReport): string[] {
  const { first, place, count, counted } = observation;
  const times = `${counted ? '' : '>= '}${count} x`;
  const elsewhere = place ? `; ${place.text} at ${place.symbol ?? place.address}` : '';
  const text = `${times} ${first.text} at ${first.symbol ?? first.address}${elsewhere}: ${compared(observation)}`;
  return wrap(text, TEXT_COLUMNS - HANGING.length).map((line, i) => `${i === 0 ? INDENT : HANGING}${line}`);
}

/** `saw 0x0061 (RPL 1); bare 0x0010 (RPL 0)`. */
function compared({ saw, bare, differs, lost }: ObservationReport): string {
  if (!differs) return `${saw.text}, the same on bare hardware`;
  const changes = (lost ?? []).map(
    ({ flag, requested, after }) => `${flag} stays ${after} (asked: ${requested})`,
  );
  const kept = changes.length === 0 ? '' : `${changes.join(', ')}; `;
  return `${kept}saw ${saw.text}; bare ${bare.text}`;
}

/** The EFLAGS table of a POPF or IRET. */
export function flagTable(rows: readonly FlagReport[] | undefined, style: Style): string[] {
  if (!rows || rows.length === 0) return [];
  const line = (...cells: readonly [string, string, string, string]): string =>
    `${cells[0].padEnd(8)}${cells[1].padEnd(8)}${cells[2].padEnd(11)}${cells[3]}`;
  return [
    style.faint(line('EFLAGS', 'before', 'requested', 'after')),
    ...rows.map(({ flag, before, requested, after }) =>
      line(flag, String(before), String(requested), String(after)),
    ),
  ];
}
