/** Tests that need other CPUs: without them they are skipped with the reason, and fail where CI=true. */
import type { TestContext } from 'vitest';
import { availability, type Oracle } from './drivers/index.ts';

export async function requireOracles(context: TestContext, oracles: readonly Oracle[]): Promise<void> {
  for (const oracle of oracles) {
    const missing = await availability(oracle);
    if (missing === undefined) continue;
    if (process.env.CI === 'true') throw new Error(`with CI=true ${oracle} has to run: ${missing}`);
    context.skip(`${oracle} cannot run here: ${missing}`);
  }
}
