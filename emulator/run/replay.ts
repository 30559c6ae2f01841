/** Replay: in a second pass over a run, the answers that its Stops were given, each where it was given. */
import type { GivenAnswer, LetPass } from '../continuation.ts';
import type { StopOn } from '../run-options.ts';

/** What a run that was interrupted had still to do with the answers to the Stops before it. */
export interface Unfinished {
  readonly letsPass: LetPass | undefined;
  readonly answers: readonly GivenAnswer[];
}

/** What the run itself was asked for, after all answers. */
interface Asked {
  readonly stopOn: StopOn;
  /** From this many retired instructions on, one instruction at a time. */
  readonly stepFrom: number;
}

export class Replay {
  readonly #answers: GivenAnswer[];
  readonly #asked: Asked;
  /** The next instruction runs without a look at what it is. */
  #letsPass: LetPass | undefined;

  constructor({ letsPass, answers }: Unfinished, asked: Asked) {
    this.#letsPass = letsPass;
    this.#answers = [...answers];
    this.#asked = asked;
  }

  get unfinished(): Unfinished {
    return { letsPass: this.#letsPass, answers: [...this.#answers] };
  }

  /** While answers are repeated, what ended the runs then ends them again. */
  get stopOn(): StopOn {
    const [next] = this.#answers;
    return next?.stopOn ?? this.#asked.stopOn;
  }

  /** While answers are repeated, what was stepped then is stepped again, and nothing else. */
  get stepFrom(): number {
    const [next] = this.#answers;
    return next ? (next.stepFrom ?? Number.POSITIVE_INFINITY) : this.#asked.stepFrom;
  }

  /** The instruction at EIP is let pass, once. */
  takeLetPass(): LetPass | undefined {
    const letsPass = this.#letsPass;
    this.#letsPass = undefined;
    return letsPass;
  }

  /** The answer that was given here, if it was; a `let-pass` is kept for the next instruction. */
  takeAnswer(eip: number, retired: number): GivenAnswer | undefined {
    const [next] = this.#answers;
    if (!next || next.retired !== retired || next.eip !== eip) return undefined;
    this.#answers.shift();
    if (next.continuation.type === 'let-pass') this.#letsPass = next.continuation;
    return next;
  }
}
