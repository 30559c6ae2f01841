/** All families, and case number K of seed S: the same everywhere. */
import type { OracleCase } from '../case.ts';
import { accesses } from './accesses.ts';
import { alu } from './alu.ts';
import type { Family } from './builder.ts';
import { codeLimits } from './code-limits.ts';
import { coprocessor } from './coprocessor.ts';
import { descriptorReads } from './descriptor-reads.ts';
import { drawn, sampleAt } from './draw.ts';
import { farTransfers } from './far-transfers.ts';
import { fastCalls } from './fast-calls.ts';
import { flags } from './flags.ts';
import { handlers } from './handlers.ts';
import { interrupts } from './interrupts.ts';
import { iopl } from './iopl.ts';
import { narrow } from './narrow.ts';
import { noExecute } from './no-execute.ts';
import { pageFaults } from './paging.ts';
import { privileged, withoutOperands } from './privileged.ts';
import { segmentLoads } from './segment-loads.ts';
import { tasks } from './tasks.ts';
import { umip } from './umip.ts';
import { vm86 } from './vm86.ts';

export const FAMILIES: readonly Family[] = [
  privileged,
  withoutOperands,
  iopl,
  flags,
  descriptorReads,
  umip,
  segmentLoads,
  accesses,
  farTransfers,
  interrupts,
  handlers,
  narrow,
  tasks,
  fastCalls,
  pageFaults,
  noExecute,
  codeLimits,
  coprocessor,
  vm86,
  alu,
];

/** Each family so often as its weight says. */
const LOTS = FAMILIES.flatMap(family => Array.from({ length: family.weight }, () => family));

const anyCase = drawn((draw): OracleCase => draw.pick(LOTS).build(draw));

/**
 * @param index 0 or more
 */
export const generateCase = (seed: number, index: number): OracleCase => sampleAt(anyCase, seed, index);
