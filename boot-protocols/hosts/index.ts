/** The hosts, and what each makes of the instruction of a rule: from their tables, without a Stop. */
import { GENERAL_PROTECTION } from '../../emulator/vectors.ts';
import { compareVersions, NEWEST_LGUEST, OLDEST_LGUEST } from '../lguest/eras.ts';
import { hostException } from './exception.ts';
import type { Host, HostAnswer, HostName } from './host.ts';
import { LGUEST_HOST } from './lguest/rules.ts';
import { MONITOR_HOST } from './monitor/rules.ts';
import { SKIP_HOST } from './skip/rules.ts';
import { XEN_HOST } from './xen/rules.ts';

export { HOST_NAMES, type Host, type HostAction, type HostAnswer, type HostName } from './host.ts';

const BY_NAME: Readonly<Record<HostName, Host>> = {
  skip: SKIP_HOST,
  xen: XEN_HOST,
  lguest: LGUEST_HOST,
  monitor: MONITOR_HOST,
};

export const findHost = (name: HostName): Host => BY_NAME[name];

/** Of lguest an answer without bounds reaches from its first version to its last; no other host has eras. */
function covers(host: HostName, { since, until }: HostAnswer, era: string): boolean {
  if (host !== 'lguest') return true;
  return (
    compareVersions(since ?? OLDEST_LGUEST, era) <= 0 && compareVersions(era, until ?? NEWEST_LGUEST) <= 0
  );
}

/**
 * What a host makes of the instruction of a rule.
 *
 * @param era of lguest: a Linux version from 2.6.23 to 4.13; without it the newest
 * @throws {RangeError} for a rule that is not in the table, and for an era without the host
 */
export function hostAnswer(host: HostName, rule: string, era?: string): HostAnswer {
  const answers = findHost(host).answers;
  const all = Object.hasOwn(answers, rule) ? answers[rule] : undefined;
  const answer = era === undefined ? all?.at(-1) : all?.find(each => covers(host, each, era));
  if (!answer) {
    throw new RangeError(`${host} has no answer to ${rule}${era === undefined ? '' : ` in Linux ${era}`}`);
  }
  return answer;
}

/** All answers of a host to a rule, the oldest era first. */
export const hostAnswers = (host: HostName, rule: string): readonly HostAnswer[] =>
  findHost(host).answers[rule] ?? [];

/**
 * What a host makes of an exception that the instruction of a rule raised: of a silent one, too, whose operands were
 * refused.
 *
 * @param vector of the exception
 */
export function hostAnswerToFault(host: HostName, rule: string, vector: number, era?: string): HostAnswer {
  const answer = hostAnswer(host, rule, era);
  if (answer.does !== 'unseen') return answer;
  const { faults = {}, fault } = findHost(host);
  const own = vector === GENERAL_PROTECTION && Object.hasOwn(faults, rule) ? faults[rule] : undefined;
  return own ?? fault(hostException(vector));
}
