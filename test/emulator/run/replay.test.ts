/** A second pass repeats a run from the entry: each answer is given again where it was given, and nowhere else. */
import { describe, expect, it } from 'vitest';
import type { Continuation, GivenAnswer } from '../../../emulator/continuation.ts';
import { Replay } from '../../../emulator/run/replay.ts';

const DONE: Continuation = { type: 'done', effect: {} };
const LET_PASS: Continuation = { type: 'let-pass' };

const given = (
  retired: number,
  eip: number,
  more: Partial<Pick<GivenAnswer, 'continuation' | 'stepFrom' | 'stopOn'>> = {},
): GivenAnswer => ({ continuation: DONE, retired, eip, length: 2, stopOn: 'fault', ...more });

const ASKED = { stopOn: 'loss', stepFrom: Number.POSITIVE_INFINITY } as const;
const replay = (...answers: readonly GivenAnswer[]): Replay =>
  new Replay({ letsPass: undefined, answers }, ASKED);

describe('an answer', () => {
  it('is given at its address, after as many retired instructions as then', () => {
    const first = given(3, 0x100010);
    const answers = replay(first);
    expect(answers.takeAnswer(0x100010, 2)).toBeUndefined();
    expect(answers.takeAnswer(0x100012, 3)).toBeUndefined();
    expect(answers.takeAnswer(0x100010, 3)).toBe(first);
  });

  it('is given once, and in order', () => {
    const [first, second] = [given(3, 0x100010), given(3, 0x100010)];
    const answers = replay(first, second);
    expect(answers.takeAnswer(0x100010, 3)).toBe(first);
    expect(answers.takeAnswer(0x100010, 3)).toBe(second);
    expect(answers.takeAnswer(0x100010, 3)).toBeUndefined();
  });

  it('that lets the instruction pass is for that instruction alone', () => {
    const answers = replay(given(3, 0x100010, { continuation: LET_PASS }));
    expect(answers.takeLetPass()).toBeUndefined();
    answers.takeAnswer(0x100010, 3);
    expect(answers.takeLetPass()).toBe(LET_PASS);
    expect(answers.takeLetPass()).toBeUndefined();
  });
});

describe('until the last answer is given', () => {
  it('the run stops on what it stopped on then, and after it on what is asked for now', () => {
    const answers = replay(given(3, 0x100010, { stopOn: 'sensitive' }));
    expect(answers.stopOn).toBe('sensitive');
    answers.takeAnswer(0x100010, 3);
    expect(answers.stopOn).toBe('loss');
  });

  it('what was stepped then is stepped again, and nothing else', () => {
    const answers = new Replay(
      { letsPass: undefined, answers: [given(9, 0x100010, { stepFrom: 7 }), given(12, 0x100020)] },
      { stopOn: 'loss', stepFrom: 20 },
    );
    expect(answers.stepFrom).toBe(7);
    answers.takeAnswer(0x100010, 9);
    expect(answers.stepFrom).toBe(Number.POSITIVE_INFINITY);
    answers.takeAnswer(0x100020, 12);
    expect(answers.stepFrom).toBe(20);
  });

  it('an interrupted run hands on what is left', () => {
    const second = given(5, 0x100020);
    const answers = replay(given(3, 0x100010, { continuation: LET_PASS }), second);
    answers.takeAnswer(0x100010, 3);
    expect(answers.unfinished).toEqual({ letsPass: LET_PASS, answers: [second] });
  });
});
