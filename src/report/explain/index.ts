/** What every kind of Stop means: one entry a kind. */
import type { Stop, StopKind } from '../../../emulator/stop.ts';
import { CALL_EXPLAINERS } from './calls.ts';
import { END_EXPLAINERS } from './ends.ts';
import { INSTRUCTION_EXPLAINERS } from './instructions.ts';
import { MEMORY_EXPLAINERS } from './memory.ts';
import type { Explainers, Explanation, Scene } from './scene.ts';
import { SEGMENT_EXPLAINERS } from './segments.ts';
import { SENSITIVE_EXPLAINERS } from './sensitive.ts';

export type { Explanation, Scene } from './scene.ts';

const EXPLAINERS: Explainers<StopKind> = {
  ...INSTRUCTION_EXPLAINERS,
  ...SENSITIVE_EXPLAINERS,
  ...SEGMENT_EXPLAINERS,
  ...MEMORY_EXPLAINERS,
  ...CALL_EXPLAINERS,
  ...END_EXPLAINERS,
};

export function explain(stop: Stop, scene: Scene): Explanation {
  // The table pairs each kind with its own explainer; the compiler cannot follow that through an index.
  const explainer = EXPLAINERS[stop.kind] as (stop: Stop, scene: Scene) => Explanation;
  return explainer(stop, scene);
}
