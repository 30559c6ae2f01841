/**
 * What a host does at a Stop: each host's `rules.ts` says what it does about which rule, its `answers.ts` carries that
 * out. Where both speak of the same act, the words are the table's, so that `explain` and a run say the same.
 */
import type { RuleId, Stop } from '../../emulator/stop.ts';
import type { Answer, AnswerContext, AnswerKind, Respond } from './answer.ts';
import { type HostAction, type HostAnswer, type HostName, hostAnswer, hostAnswerToFault } from './index.ts';
import { decode } from './instruction.ts';
import { lguest } from './lguest/answers.ts';
import { monitor } from './monitor/answers.ts';
import { skip } from './skip/answers.ts';
import { xen } from './xen/answers.ts';

export type { Answer, AnswerContext, AnswerKind } from './answer.ts';
export { type VirtualCpu, virtualCpu } from './virtual-cpu.ts';

const RESPONDENTS: Readonly<Record<HostName, Respond>> = { skip, xen, lguest, monitor };

/** Kinds of answer that carry out what a table says. A guest without a handler ends where its host reflects. */
const CARRIES_OUT: Readonly<Record<HostAction, readonly AnswerKind[]>> = {
  emulate: ['emulated', 'ended'],
  skip: ['skipped', 'ended'],
  reflect: ['reflected', 'killed'],
  kill: ['killed'],
  unseen: ['passed'],
};

export const carriesOut = (does: HostAction, kind: AnswerKind): boolean => CARRIES_OUT[does].includes(kind);

function tableAnswer(host: HostName, stop: Stop, era: string): HostAnswer | undefined {
  const rule: RuleId | undefined = 'rule' in stop ? stop.rule : undefined;
  if (rule === undefined) return undefined;
  try {
    const known = host === 'lguest' ? era : undefined;
    const answer = stop.exception
      ? hostAnswerToFault(host, rule, stop.exception.vector, known)
      : hostAnswer(host, rule, known);
    const register = answer.byRegister && decode(stop)?.systemRegister;
    return (register === undefined ? undefined : answer.byRegister?.[register]) ?? answer;
  } catch (error) {
    // Not every rule of a Stop is in the tables: a host may answer it all the same.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** What a host does at a Stop. Pure: the same Stop and context give the same answer. */
export function answerOf(host: HostName, stop: Stop, context: AnswerContext): Answer {
  const answer = RESPONDENTS[host](stop, context);
  const table = tableAnswer(host, stop, context.era);
  if (!table || !carriesOut(table.does, answer.kind)) return answer;
  // What ends by itself is not stepped over.
  if (answer.kind === 'ended' && table.does === 'skip') return answer;
  return { ...answer, sentence: table.sentence, citation: table.citation, detail: answer.sentence };
}

const HOSTS: Readonly<Record<string, HostName>> = { xen: 'xen', lguest: 'lguest', vmi: 'monitor' };

/** The host that stands under a protocol's kernels; where none does, traps are stepped over. */
export const hostOf = (protocol: string): HostName =>
  (Object.hasOwn(HOSTS, protocol) ? HOSTS[protocol] : undefined) ?? 'skip';
