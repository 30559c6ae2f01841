/** The hand-over to the kernel proper, as lines of the text report. */
import type { Style } from '../style.ts';
import { table } from '../table.ts';
import type { HandOverReport } from './report.ts';

const HEADING = ['', 'given to the stub', 'found by the kernel proper'];

export function handOverLines(report: HandOverReport | undefined, style: Style): string[] {
  if (!report) return [];
  const { entry, linkedAt, moved, rows } = report;
  const where =
    moved === undefined ? ', where it is linked for' : `, linked for ${linkedAt}: moved by ${moved}`;
  return [
    `${style.faint('hand-over')} the kernel proper begins at ${entry}${where}`,
    ...table(
      rows.map(({ what, given, promised, found, same }) => ({
        cells: [what, promised === false ? `${given}, not promised` : given, same ? 'the same' : found],
      })),
      { heading: HEADING, style, indent: 3 },
    ),
  ];
}
