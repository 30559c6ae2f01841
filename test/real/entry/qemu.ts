/** A kernel that QEMU's own loaders start, stopped at its 32-bit entry: TCG, so that every breakpoint is exact. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { connectGdb } from './gdb-remote.ts';
import { type QemuRegisters, readRegisters } from './registers.ts';

const PROGRAM = 'qemu-system-i386';
const MEMORY_MIB = 64;
export const MEMORY = MEMORY_MIB << 20;

export interface RealStart {
  /** What QEMU starts; `{name}` stands for the path of a file of `files`. */
  readonly arguments: readonly string[];
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** Where it is to be stopped. */
  readonly entry: number;
  /** Where the loader itself runs over that address: whether this is the kernel. */
  readonly isEntry?: (registers: QemuRegisters) => boolean;
}

export interface RealEntry {
  readonly registers: QemuRegisters;
  /** Guest memory; paging is off. */
  read(address: number, size: number): Promise<Uint8Array>;
}

/** Skips the test where QEMU is missing; with CI=true that is a failure. */
export function requireQemu(context: TestContext): void {
  const { error, stdout } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' });
  if (!error && stdout.startsWith('QEMU emulator')) return;
  const reason = `${PROGRAM} cannot run here: ${error?.message ?? stdout}`;
  if (process.env.CI === 'true') throw new Error(reason);
  context.skip(reason);
}

/** Starts QEMU, stops the guest at its entry, hands it to `look`, and ends QEMU. */
export async function atEntry<T>(start: RealStart, look: (entry: RealEntry) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'startup32-entry-'));
  let child: ChildProcess | undefined;
  try {
    const write = (name: string, contents: Uint8Array): string => {
      const path = join(directory, name);
      writeFileSync(path, contents);
      return path;
    };
    const files = Object.entries(start.files ?? {}).map(([name, contents]) => [name, write(name, contents)]);
    const fill = (text: string): string =>
      files.reduce((filled, [name, path]) => filled.replaceAll(`{${name}}`, path ?? ''), text);
    const socket = join(directory, 'gdb');
    const qemu = spawn(
      PROGRAM,
      [
        ...['-accel', 'tcg', '-m', String(MEMORY_MIB), '-nodefaults', '-no-user-config', '-display', 'none'],
        ...['-no-reboot', '-S', '-chardev', `socket,id=gdb,path=${socket},server=on,wait=off`],
        ...['-gdb', 'chardev:gdb', ...start.arguments.map(fill)],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child = qemu;
    // A test that its time runs out for does not come to its end.
    process.once('exit', () => qemu.kill('SIGKILL'));
    let errors = '';
    qemu.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    const ended = new Promise<never>((_, reject) => {
      qemu.once('error', reject);
      qemu.once('exit', code => reject(new Error(`QEMU ended with ${code}: ${errors.trim()}`)));
    });
    ended.catch(() => {});
    return await Promise.race([inspect(socket, start, look), ended]);
  } finally {
    await end(child);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function inspect<T>(
  socket: string,
  { entry, isEntry = () => true }: RealStart,
  look: (entry: RealEntry) => Promise<T>,
): Promise<T> {
  const gdb = await connectGdb(socket);
  try {
    for (;;) {
      if (!(await gdb.runTo(entry)))
        throw new Error(`the guest ended before it came to 0x${entry.toString(16)}`);
      const registers = readRegisters(await gdb.monitor('info registers'));
      if (isEntry(registers)) {
        return await look({ registers, read: (address, size) => gdb.read(address, size) });
      }
      await gdb.step();
    }
  } finally {
    gdb.close();
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>(resolve => child.once('close', () => resolve()));
  child.kill('SIGKILL');
  await gone;
}
