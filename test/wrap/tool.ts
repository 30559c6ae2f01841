/** A tool that a test needs and a machine may not have. */
import { execFileSync } from 'node:child_process';
import type { TestContext } from 'vitest';

/** Debian's packages of the tools. */
const PACKAGES: Readonly<Record<string, string>> = { lzma: 'xz-utils', xz: 'xz-utils', readelf: 'binutils' };

export function tool(ctx: TestContext, name: string, options: readonly string[], input?: Uint8Array): Buffer {
  try {
    return execFileSync(name, options, { ...(input && { input }), env: { ...process.env, LC_ALL: 'C' } });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return ctx.skip(`${name} is not installed; Debian has it in the package ${PACKAGES[name] ?? name}`);
  }
}
