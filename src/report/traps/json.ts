/** All traps of a run as the JSON report, `startup32/traps@1`. */
import type { Answer, AnswerKind } from '../../../boot-protocols/hosts/answers.ts';
import type { Stop } from '../../../emulator/stop.ts';
import type { Trap, TrapsEnd, TrapsResult } from '../../traps.ts';
import { count } from '../hex.ts';
import { operandInWords } from '../operands/words.ts';
import { type ReportContext, stopReport } from '../stop/json.ts';
import type { StopReport } from '../stop/report.ts';
import type { TrapReport, TrapsReport } from './report.ts';

/** Pure: the same result and context give the same report. */
export function trapsReport(result: TrapsResult, context: ReportContext): TrapsReport {
  const { host, era, met, traps, end, stop } = result;
  const { command: _command, serial: _serial, ...inner } = context;
  const answered = END_ANSWERED.has(end) ? met : met - 1;
  const last = stopReport(stop, { ...context, answered });
  const lastTrap = traps.find(trap => trap.last === stop.instructions && trap.stop.cpu.eip === stop.cpu.eip);
  return {
    schema: 'startup32/traps@1',
    host,
    ...(era !== undefined && { era }),
    met,
    traps: traps.map(trap => trapReport(trap, inner)),
    end: { why: end, text: endText(result, lastTrap, last.headline, callName(stop, context)) },
    stop: lastStop(end, last, lastTrap),
  };
}

/** Ends at which every trap that was met has been answered. */
const END_ANSWERED: ReadonlySet<TrapsEnd> = new Set(['stop', 'traps']);

/** Nothing is to be tried after a kernel that ended by itself. */
function lastStop(end: TrapsEnd, last: StopReport, trap: Trap | undefined): StopReport {
  if (!trap || (end !== 'no-answer' && end !== 'ended')) return last;
  const means = meansOf(trap.answer);
  return end === 'ended' ? { ...last, means, next: [] } : { ...last, means };
}

/** Under all traps it is the host who answers, whatever the boot protocol. */
const OUTCOMES: Readonly<Record<AnswerKind, StopReport['means']['outcome']>> = {
  emulated: 'emulates',
  skipped: 'skips',
  passed: 'nothing',
  reflected: 'reflects',
  killed: 'kills',
  ended: 'nothing',
  unanswered: 'unknown',
};

const meansOf = ({ kind, sentence, citation }: Answer): StopReport['means'] => ({
  outcome: OUTCOMES[kind],
  text: sentence,
  ...(citation !== undefined && { citation }),
});

function trapReport(trap: Trap, context: ReportContext): TrapReport {
  const { ordinal, answer, stop } = trap;
  const { kind, at, exception, operand, code, why } = stopReport(stop, context);
  const line = code.lines.find(({ current }) => current);
  return {
    ordinal,
    count: trap.count,
    instructions: stop.instructions,
    lastInstructions: trap.last,
    kind,
    ...(why.rule && { rule: why.rule.id }),
    at,
    ...(line && { instruction: { bytes: line.bytes, text: line.text.replace(/\s+/g, ' ') } }),
    ...(exception && { exception }),
    ...(operand && { operand }),
    wants: stop.operand ? operandInWords(stop.operand) : [],
    answer: {
      does: answer.kind,
      text: answer.sentence,
      ...(answer.citation !== undefined && { citation: answer.citation }),
      ...(answer.detail !== undefined && { detail: answer.detail }),
    },
  };
}

/** `, hypercall xen_version (17)`. */
function callName(stop: Stop, { protocol, entry }: ReportContext): string {
  if (stop.kind !== 'hypercall') return '';
  const name = protocol.hypercallName?.(stop.number, { entry, arguments: stop.arguments });
  return `, hypercall ${name === undefined ? stop.number : `${name} (${stop.number})`}`;
}

const reasonOf = (trap: Trap | undefined): string => trap?.answer.detail ?? trap?.answer.sentence ?? '';

function endText(
  { host, end, met }: TrapsResult,
  lastTrap: Trap | undefined,
  headline: string,
  call: string,
): string {
  switch (end) {
    case 'traps':
      return `${count(met, 'trap')} answered, and no more are to be: --max-traps sets how many.`;
    case 'stop':
      return headline;
    case 'stuck':
      return `The CPU does not get past it: ${headline}`;
    case 'ended':
      return `The kernel ends by itself at trap ${lastTrap?.ordinal ?? met}. ${reasonOf(lastTrap)}`;
    case 'no-answer': {
      const { answer, ordinal = met } = lastTrap ?? {};
      const why = reasonOf(lastTrap);
      if (answer?.kind === 'killed') return `The guest is killed at trap ${ordinal}. ${why}`;
      return `${host} has no answer to trap ${ordinal}${call}. ${why}`;
    }
  }
}
