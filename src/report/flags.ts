/** What a POPF or IRET makes of EFLAGS: as JSON, and as the table of the text report. */
import type { FlagRow } from '../../emulator/flags.ts';
import type { FlagReport } from './parts.ts';
import type { Style } from './style.ts';

export const flagReport = ({ flag, before, requested, after }: FlagRow): FlagReport => ({
  flag,
  before,
  requested,
  after,
});

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
