/** `--answer skip`: no system at all; a trap is stepped over, to see what comes next. */
import { PRIVILEGE_RULES } from '../../../emulator/privilege/index.ts';
import type { Host, HostAnswer } from '../host.ts';

const CITATION = 'docs/privilege.md';

const SKIPPED: HostAnswer = {
  does: 'skip',
  sentence: 'The instruction is stepped over: no register and no memory changes.',
  citation: CITATION,
};

const UNSEEN: HostAnswer = {
  does: 'unseen',
  sentence: 'There is no trap to step over: the CPU runs it.',
  citation: CITATION,
};

export const SKIP_HOST: Host = {
  name: 'skip',
  summary: 'no system: every trap is stepped over',
  answers: Object.fromEntries(
    PRIVILEGE_RULES.map(rule => [rule.id, [rule.class === 'silent' ? UNSEEN : SKIPPED]]),
  ),
  fault: () => SKIPPED,
};
