/** One run of an emulator over a batch of cases: started in a folder of its own, watched, ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What to start. Names of files are relative to the folder, which is the working directory. */
export interface Command {
  readonly program: string;
  readonly arguments: readonly string[];
  /** Besides the disk image, {@link DISK}. */
  readonly files?: Readonly<Record<string, string>>;
  /** The file that the bytes of port 0xE9 go to, when it is not {@link OUTPUT}, the standard output. */
  readonly debugPort?: string;
}

export const DISK = 'disk.img';
const OUTPUT = 'output';
const MESSAGES = 'messages';

/**
 * - `exit`: it ended by itself
 * - `halted`: every thread of it sleeps and no output comes
 * - `loop`: it used the CPU for the given time without any output
 */
export type End = 'exit' | 'halted' | 'loop';

export interface RunResult {
  /** What came out of port 0xE9. */
  readonly output: Uint8Array;
  readonly end: End;
  readonly exitCode: number | null;
  /** Standard error, its last lines. */
  readonly messages: string;
}

const POLL_MS = 50;
/** What the BIOS and loading may use of the CPU before the first output. */
const BOOT_MS = 30_000;
/** All threads asleep for this long: interrupts are masked, so nothing wakes the CPU again. */
const HALTED_MS = 600;
/** A second, on Linux (USER_HZ). */
const CLOCK_TICKS = 100;

/** @throws when the program cannot be started at all */
export async function runEmulator(command: Command, disk: Uint8Array, loopMs: number): Promise<RunResult> {
  const folder = await mkdtemp(join(tmpdir(), 'startup32-oracle-'));
  try {
    await writeFile(join(folder, DISK), disk);
    for (const [name, text] of Object.entries(command.files ?? {})) await writeFile(join(folder, name), text);
    const output = join(folder, command.debugPort ?? OUTPUT);
    const end = await start(command, folder, output, loopMs);
    return {
      ...end,
      output: new Uint8Array(await readFile(output).catch(() => new Uint8Array())),
      messages: lastLines(await readFile(join(folder, MESSAGES), 'latin1')),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function start(
  command: Command,
  folder: string,
  output: string,
  loopMs: number,
): Promise<Pick<RunResult, 'end' | 'exitCode'>> {
  const out = openSync(join(folder, OUTPUT), 'w');
  const err = openSync(join(folder, MESSAGES), 'w');
  // A group of its own, so that it can be ended with whatever it starts.
  // `setpriv` (util-linux): when this process is killed, the kernel ends the emulator too.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', command.program, ...command.arguments], {
    cwd: folder,
    detached: true,
    stdio: ['ignore', out, err],
    env: { ...process.env, TERM: 'xterm', LC_ALL: 'C' },
  });
  closeSync(out);
  closeSync(err);
  let ended = false;
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once('error', error => {
      ended = true;
      reject(error);
    });
    child.once('exit', code => {
      ended = true;
      resolve(code);
    });
  });
  const onExit = (): void => endGroup(child);
  process.once('exit', onExit);
  try {
    let size = 0;
    let usedBefore = 0;
    let asleep = 0;
    while (!ended) {
      await Promise.race([sleep(POLL_MS), exit]);
      if (ended) break;
      const now = (await stat(output).catch(() => undefined))?.size ?? 0;
      const { used, sleeping } = await activity(child.pid);
      if (now !== size) usedBefore = used;
      asleep = sleeping && now === size ? asleep + POLL_MS : 0;
      size = now;
      const end = asleep >= HALTED_MS ? 'halted' : 'loop';
      if (end === 'halted' || used - usedBefore >= (size > 0 ? loopMs : BOOT_MS)) {
        endGroup(child);
        return { end, exitCode: await exit };
      }
    }
    return { end: 'exit', exitCode: await exit };
  } finally {
    process.off('exit', onExit);
  }
}

/**
 * What the process did, by /proc (Linux): how busy the host is with others does not decide whether a case is wedged.
 * @returns `used`: CPU time since it began, in milliseconds
 */
async function activity(pid: number | undefined): Promise<{ used: number; sleeping: boolean }> {
  try {
    // Fields 14 and 15 of stat(5) are user and system time in clock ticks; the name, field 2, may hold spaces.
    const fieldsOf = (text: string): string[] => text.slice(text.lastIndexOf(')') + 2).split(' ');
    const fields = fieldsOf(await readFile(`/proc/${pid}/stat`, 'latin1'));
    const threads = await readdir(`/proc/${pid}/task`);
    const states = await Promise.all(
      threads.map(async id => fieldsOf(await readFile(`/proc/${pid}/task/${id}/stat`, 'latin1'))[0]),
    );
    const used = (Number(fields[11]) + Number(fields[12])) * (1000 / CLOCK_TICKS);
    return { used, sleeping: states.every(state => state === 'S') };
  } catch {
    return { used: 0, sleeping: false }; // it has just ended
  }
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // It may have ended by itself just now.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

const lastLines = (text: string): string => text.trimEnd().split('\n').slice(-40).join('\n');
