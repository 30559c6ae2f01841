/** The other CPUs that a case runs on: QEMU's TCG, Bochs, and the silicon under this machine through KVM. */
import { access, constants } from 'node:fs/promises';
import {
  CODE,
  codeSelector,
  dataSelector,
  END_VECTOR,
  type Oracle,
  type OracleCase,
  type Outcome,
  STACK_TOP,
} from '../case.ts';
import { decodeMessages, encodeCase } from '../encoding.ts';
import { diskImage, MAX_CASE_BYTES } from '../image/build.ts';
import { bochsCommand } from './bochs.ts';
import { type Command, type RunResult, runEmulator } from './process.ts';
import { qemuCommand } from './qemu.ts';

export type { Oracle } from '../case.ts';

export interface RunOptions {
  /** A case that uses the CPU this long without an end is wedged. Milliseconds of the emulator's own time; default 1,000. */
  readonly loopMs?: number;
  /** Called after each start of the emulator with the number of cases that are done. */
  readonly onProgress?: (done: number) => void;
}

/** The case did not come to an end, or could not be entered. Says how. */
export interface Wedged {
  readonly wedged: string;
}

const DEFAULT_LOOP_MS = 1000;

const commandFor = (oracle: Oracle, diskBytes: number): Command =>
  oracle === 'bochs' ? bochsCommand(diskBytes) : qemuCommand(oracle === 'kvm' ? 'kvm' : 'tcg');

/**
 * Runs the cases in order and gives one result for each. A case that wedges the emulator ends that start of it; the next
 * start begins behind it.
 * @throws when the emulator does not get as far as the first case
 */
export async function runCases(
  oracle: Oracle,
  cases: readonly OracleCase[],
  options: RunOptions = {},
): Promise<readonly (Outcome | Wedged)[]> {
  const encoded = cases.map(encodeCase);
  const results: (Outcome | Wedged)[] = [];
  while (results.length < encoded.length) {
    const batch = encoded.slice(results.length, endOfImage(encoded, results.length));
    const disk = diskImage(batch);
    const run = await runEmulator(commandFor(oracle, disk.length), disk, options.loopMs ?? DEFAULT_LOOP_MS);
    collect(oracle, run, results, batch.length);
    options.onProgress?.(results.length);
  }
  return results;
}

/** The first case that does not fit into an image with those from `first` on. */
function endOfImage(encoded: readonly Uint8Array[], first: number): number {
  let bytes = 4;
  let end = first;
  for (; end < encoded.length; end++) {
    bytes += encoded[end]?.length ?? 0;
    if (bytes > MAX_CASE_BYTES) break;
  }
  return end;
}

function collect(oracle: Oracle, run: RunResult, results: (Outcome | Wedged)[], count: number): void {
  const first = results.length;
  let running: number | undefined;
  let finished = false;
  for (const message of decodeMessages(run.output)) {
    if (message.kind === 'end') {
      finished = true;
    } else if (message.kind === 'begin') {
      running = message.number;
    } else {
      if (message.number !== results.length) {
        throw new Error(`${oracle}: outcome of case ${message.number} where ${results.length} was expected`);
      }
      results.push(message.kind === 'outcome' ? message.outcome : { wedged: message.reason });
      running = undefined;
    }
  }
  if (finished && results.length === first + count) return;
  const end = describeEnd(run);
  if (running === undefined) {
    throw new Error(
      `${oracle} stopped outside a case, before case ${results.length}: ${end}\n${run.messages}`,
    );
  }
  if (running !== results.length) {
    throw new Error(`${oracle}: case ${running} ran where ${results.length} was expected`);
  }
  results.push({ wedged: end });
}

function describeEnd({ end, exitCode, messages }: RunResult): string {
  // KVM and Bochs say what they end with; a triple fault ends QEMU without a word (-no-reboot).
  const told = /KVM internal error.*|(?<=exiting with the following message:\n).*/.exec(messages)?.[0];
  if (end === 'halted') return told ?? 'halted';
  if (end === 'loop') return told ?? 'no end';
  return told ?? (exitCode === 0 ? 'shutdown (triple fault)' : `the emulator ended with status ${exitCode}`);
}

const known = new Map<Oracle, Promise<string | undefined>>();

/** @returns why this oracle cannot be used here; undefined when it can */
export function availability(oracle: Oracle): Promise<string | undefined> {
  const answer = known.get(oracle) ?? probe(oracle);
  known.set(oracle, answer);
  return answer;
}

/** Starts it over a case that does nothing. */
async function probe(oracle: Oracle): Promise<string | undefined> {
  if (oracle === 'kvm') {
    try {
      await access('/dev/kvm', constants.R_OK | constants.W_OK);
    } catch {
      return '/dev/kvm cannot be opened';
    }
  }
  try {
    const [outcome] = await runCases(oracle, [EMPTY_CASE]);
    if (!outcome || 'wedged' in outcome) return `a case that does nothing does not end: ${outcome?.wedged}`;
    return outcome.vector === END_VECTOR
      ? undefined
      : `a case that does nothing raises vector ${outcome.vector}`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return `a program is not installed: ${error.message}`;
    }
    return error instanceof Error ? error.message : String(error);
  }
}

const EMPTY_CASE: OracleCase = {
  topic: 'nothing',
  mode: 'protected',
  ring: 3,
  eflags: 2,
  eip: CODE,
  registers: { eax: 0, ecx: 0, edx: 0, ebx: 0, esp: STACK_TOP, ebp: 0, esi: 0, edi: 0 },
  selectors: {
    cs: codeSelector(3),
    ss: dataSelector(3),
    ds: dataSelector(3),
    es: dataSelector(3),
    fs: dataSelector(3),
    gs: dataSelector(3),
  },
  cr0: 0,
  cr4: 0,
  efer: 0,
  paging: 'off',
  ldtr: 0,
  writes: [{ address: CODE, bytes: Uint8Array.of(0xcd, END_VECTOR) }],
  ignore: [],
  undefinedFlags: 0,
  without: [],
};
