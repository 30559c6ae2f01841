/** What passed silently, as lines of the text report. */

import { TEXT_COLUMNS, wrap } from '../lines.ts';
import type { Style } from '../style.ts';
import type { ObservationReport } from './report.ts';

const INDENT = '   ';
/** Continuation lines stand further in than the first. */
const HANGING = `${INDENT}   `;

/** One entry a rule, in the order of the first places. */
export function silentLines(observations: readonly ObservationReport[], style: Style): string[] {
  if (observations.length === 0) return [];
  const silent = observations.filter(({ instead }) => instead === undefined);
  const violations = observations.filter(({ instead }) => instead !== undefined);
  return [
    ...(silent.length > 0 ? [style.faint('passed silently'), ...silent.flatMap(entry)] : []),
    ...(violations.length > 0
      ? [style.faint('should have gone to the hypervisor'), ...violations.flatMap(entry)]
      : []),
  ];
}

function entry(observation: ObservationReport): string[] {
  const { first, place, count, counted } = observation;
  const times = `${counted ? '' : '>= '}${count} x`;
  const elsewhere = place ? `; ${place.text} at ${place.symbol ?? place.address}` : '';
  const text = `${times} ${first.text} at ${first.symbol ?? first.address}${elsewhere}: ${compared(observation)}`;
  return wrap(text, TEXT_COLUMNS - HANGING.length).map((line, i) => `${i === 0 ? INDENT : HANGING}${line}`);
}

/** `saw 0x0061 (RPL 1); bare 0x0010 (RPL 0)`. */
function compared({ saw, bare, differs, lost, instead }: ObservationReport): string {
  if (instead) return `${saw.text}; instead: ${instead.by}. ${instead.sentence}`;
  if (!differs) return `${saw.text}, the same on bare hardware`;
  const changes = (lost ?? []).map(
    ({ flag, requested, after }) => `${flag} stays ${after} (asked: ${requested})`,
  );
  const kept = changes.length === 0 ? '' : `${changes.join(', ')}; `;
  return `${kept}saw ${saw.text}; bare ${bare.text}`;
}
