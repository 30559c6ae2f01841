/** Vitest's global setup: the embedded engine is made from its package once, before any test runs. */
import { generate } from '../../emulator/unicorn/generate.ts';

export default function setup(): void {
  generate(['emulator/unicorn']);
}
