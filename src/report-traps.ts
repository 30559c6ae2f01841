/** From all traps of a run to their report. Apart from `boot.ts`, so that a run to the first stop does not load it. */
import type { Machine } from '../emulator/machine.ts';
import { contextOf, type ReportOptions } from './boot.ts';
import type { KernelImage } from './kernel-image/kernel-image.ts';
import { trapsReport } from './report/traps/json.ts';
import type { TrapsReport } from './report/traps/report.ts';
import type { TrapsResult } from './traps.ts';

/**
 * The report of all traps, as plain JSON (`startup32/traps@1`). `trapsText` renders it.
 *
 * @param image the one that the machine was booted from.
 */
export const reportTraps = (
  machine: Pick<Machine, 'entry' | 'engine'>,
  image: KernelImage,
  result: TrapsResult,
  options: ReportOptions = {},
): TrapsReport => trapsReport(result, contextOf(machine, image, options));
