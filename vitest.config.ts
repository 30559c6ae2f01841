import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/bench/**', '**/node_modules/**'],
    globalSetup: ['test/support/generate-engine.ts'],
    // 2.5 MB of JavaScript that needs no transformation: Node loads it as it is.
    server: { deps: { external: [/unicorn-x86\.generated\.js$/] } },
    pool: 'forks',
    testTimeout: 120_000,
  },
});
