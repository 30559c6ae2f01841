/** The hand-over to the kernel proper, as lines of the text report. */
import type { Style } from '../style.ts';
import { table } from '../table.ts';
import type { HandOverReport, HandOverRow } from './report.ts';

const HEADING = ['', 'given to the stub', 'found by the kernel proper'];

function givenInWords({ given, promised, promisedBits }: HandOverRow): string {
  if (promisedBits) return `${given}, promised ${promisedBits.join(' ')}`;
  return promised === false ? `${given}, not promised` : given;
}

export function handOverLines(report: HandOverReport | undefined, style: Style): string[] {
  if (!report) return [];
  const { entry, linkedAt, moved, rows } = report;
  const where =
    moved === undefined ? ', where it is linked for' : `, linked for ${linkedAt}: moved by ${moved}`;
  return [
    `${style.faint('hand-over')} the kernel proper begins at ${entry}${where}`,
    ...table(
      rows.map(row => ({ cells: [row.what, givenInWords(row), row.same ? 'the same' : row.found] })),
      { heading: HEADING, style, indent: 3 },
    ),
  ];
}
