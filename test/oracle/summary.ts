/** Counts agreements of startup32, on each engine, with each oracle, and collects what does not agree. */
import type { EngineName } from '../../emulator/unicorn/api.ts';
import { type OracleCase, TSS_SELECTOR } from './case.ts';
import { differences } from './compare.ts';
import { type KnownDifference, knownDifference } from './differences.ts';
import type { Oracle } from './drivers/index.ts';
import { type CaseResult, isOutcome } from './result.ts';

export interface Tally {
  cases: number;
  agree: number;
  /** Known differences in which the other CPU is wrong or may do as it likes. */
  listed: number;
  open: number;
}

/** Everything that was found out about one case. */
export interface CaseRun {
  readonly index: number;
  readonly oracleCase: OracleCase;
  readonly engines: ReadonlyMap<EngineName, CaseResult>;
  readonly oracles: ReadonlyMap<Oracle, CaseResult>;
}

export interface Disagreement {
  count: number;
  example: CaseRun;
  /** Engine and oracle of each pair that does not agree. */
  readonly pairs: Set<string>;
}

const pairName = (engine: EngineName, oracle: Oracle): string => `${engine} / ${oracle}`;

const emptyTally = (): Tally => ({ cases: 0, agree: 0, listed: 0, open: 0 });

export class Summary {
  readonly pairs = new Map<string, Tally>();
  readonly topics = new Map<string, Tally>();
  /** By topic and kind. */
  readonly open = new Map<string, Disagreement>();
  /** Pairs of cases that each known difference explains. */
  readonly known = new Map<string, number>();
  /** Cases of which no CPU said anything: they count as open. */
  readonly failures = new Map<string, number>();
  cases = 0;
  /** Cases in which every engine agrees with every oracle. */
  agreeing = 0;
  /** Those, and the ones whose differences are listed. */
  sound = 0;

  add(run: CaseRun): void {
    this.cases++;
    const topic = this.#tally(this.topics, run.oracleCase.topic);
    topic.cases++;
    const kinds: string[] = [];
    const pairs: string[] = [];
    let listed = false;
    for (const [engine, ours] of run.engines) {
      for (const [oracle, theirs] of run.oracles) {
        const pair = this.#tally(this.pairs, pairName(engine, oracle));
        pair.cases++;
        const found = this.#judge(run, engine, oracle, ours, theirs);
        if (found === 'agree') pair.agree++;
        else if (typeof found === 'object') {
          pair.listed++;
          listed = true;
          this.known.set(found.id, (this.known.get(found.id) ?? 0) + 1);
        } else {
          pair.open++;
          kinds.push(found);
          pairs.push(pairName(engine, oracle));
        }
      }
    }
    if (kinds.length > 0) {
      topic.open++;
      this.#note(run, kinds, pairs);
    } else {
      this.sound++;
      if (listed) topic.listed++;
      else {
        topic.agree++;
        this.agreeing++;
      }
    }
  }

  #tally(map: Map<string, Tally>, key: string): Tally {
    let tally = map.get(key);
    if (!tally) {
      tally = emptyTally();
      map.set(key, tally);
    }
    return tally;
  }

  /** `agree`, the known difference that explains it, or what kind of disagreement it is. */
  #judge(
    run: CaseRun,
    engine: EngineName,
    oracle: Oracle,
    ours: CaseResult,
    theirs: CaseResult,
  ): 'agree' | KnownDifference | string {
    const { oracleCase } = run;
    const found = differences(oracleCase, ours, theirs);
    if (found.length === 0) return 'agree';
    const fields = found.map(({ field }) => field);
    const incidental = isOutcome(ours) && ours.tr !== TSS_SELECTOR ? IN_A_NEW_TASK : INCIDENTAL;
    const confirmed = [...run.oracles].some(
      ([other, result]) =>
        other !== oracle &&
        isOutcome(result) &&
        differences(oracleCase, ours, result).every(({ field }) => incidental.has(field)),
    );
    const known = knownDifference({ oracleCase, oracle, ours, theirs, fields, confirmed });
    if (known) return known;
    return `${engine} ${vectorOf(ours)} / ${oracle} ${vectorOf(theirs)}: ${kindsOf(fields)}`;
  }

  #note(run: CaseRun, kinds: readonly string[], pairs: readonly string[]): void {
    const key = [run.oracleCase.topic, ...kinds].join('; ');
    const known = this.open.get(key);
    if (!known) {
      this.open.set(key, { count: 1, example: run, pairs: new Set(pairs) });
      return;
    }
    known.count++;
    if (size(run.oracleCase) < size(known.example.oracleCase)) known.example = run;
  }
}

const vectorOf = (result: CaseResult): string =>
  isOutcome(result) ? String(result.vector) : `${result.failure} (${result.detail.slice(0, 40)})`;

const GENERAL = new Set(['eax', 'ecx', 'edx', 'ebx', 'ebp', 'esi', 'edi']);
/** What CPUs do not have to have in common at a fault: writes before it, and the stack in the middle of a task switch. */
const INCIDENTAL = new Set(['data', 'stack']);
const IN_A_NEW_TASK = new Set([...INCIDENTAL, 'esp', 'ss']);
const MEMORY = new Set(['data', 'stack', 'tables']);

/** General registers and memory are one kind each. */
function kindsOf(fields: readonly string[]): string {
  const kinds = fields.map(field =>
    GENERAL.has(field) ? 'registers' : MEMORY.has(field) ? 'memory' : field,
  );
  return [...new Set(kinds)].join(', ');
}

/** The fewer bytes and writes, the easier it is to see what is the matter. */
const size = ({ writes, cr0, cr4, paging }: OracleCase): number =>
  writes.reduce((sum, { bytes }) => sum + bytes.length, 8 * writes.length) +
  (paging === 'off' ? 0 : 16) +
  (cr0 === 0 ? 0 : 1) +
  (cr4 === 0 ? 0 : 4);
