/** The stop at an instruction that does not fault: the kernel is shown or given something else, or should not have run it. */
import type { Instead } from '../../../emulator/entry-state.ts';
import type { Sight } from '../../../emulator/observe/observation.ts';
import type { StopOf } from '../../../emulator/stop.ts';
import { sightReport } from '../observations/sights.ts';
import { decidingLine } from './deciding.ts';
import { type Explainer, type Explainers, type Explanation, type Scene, whoRuns } from './scene.ts';

/** What an instruction does with what it shows. */
const VERBS: Readonly<Partial<Record<Sight['what'], string>>> = {
  'flags-loaded': 'leaves',
  'segment-loaded': 'loads',
  transfer: 'goes to',
  'task-switch': 'switches to',
};

/** In ring 0 nothing refuses it, and the kernel is paravirtual all the same. */
function violation(stop: StopOf<'sensitive'>, instead: Instead, scene: Scene): Explanation {
  const rule = scene.rule(stop.rule);
  const { instruction, mnemonic, entry } = scene;
  return {
    title: 'violation',
    claims: [
      `${instruction} runs in ring 0; a kernel of ${entry.protocol} uses ${instead.by}`,
      `${mnemonic} runs in ring 0; a kernel of ${entry.protocol} uses ${instead.by}`,
      `${mnemonic} runs in ring 0; instead: ${instead.by}`,
      `${mnemonic} runs in ring 0`,
    ],
    why: `${rule?.instruction ?? mnemonic} does not fault here, and ${whoRuns(scene)}. ${instead.sentence} (${instead.citation})`,
    ...(rule && { rule }),
    details: [],
    facts: { rule: stop.rule, saw: sightReport(stop.saw).text, instead: instead.by },
  };
}

const sensitive: Explainer<'sensitive'> = (stop, scene) => {
  if (stop.instead) return violation(stop, stop.instead, scene);
  const rule = scene.rule(stop.rule);
  const line = rule && decidingLine(rule, stop);
  const { instruction, mnemonic, cpl } = scene;
  const saw = sightReport(stop.saw);
  const bare = sightReport(stop.bare);
  const verb = VERBS[stop.saw.what] ?? 'gives';
  const beside = stop.differs ? `on a PC ${bare.text}` : 'on a PC too';
  return {
    title: 'sensitive',
    claims: [
      `${instruction} ${verb} ${saw.text} at CPL ${cpl}; ${beside}`,
      `${instruction} ${verb} ${saw.text}; ${beside}`,
      `${mnemonic} ${verb} ${saw.text}; ${beside}`,
      `${instruction} ${verb} ${saw.text} at CPL ${cpl}`,
      `${mnemonic} ${verb} ${saw.text} at CPL ${cpl}`,
      `${instruction} does not fault at CPL ${cpl}`,
      `${mnemonic} does not fault at CPL ${cpl}`,
    ],
    why:
      `${rule?.instruction ?? mnemonic} does not fault here, and ${whoRuns(scene)}. It ${verb} ${saw.text}; ` +
      `in ring 0, as a PC boot loader starts a kernel, ${stop.differs ? `it ${verb} ${bare.text}` : 'it does the same'}.` +
      (rule ? ` ${rule.reason} (${rule.citation})` : ''),
    ...(rule && { rule }),
    ...(line && { line }),
    details: [],
    facts: { rule: stop.rule, saw: saw.text, bare: bare.text, differs: stop.differs },
  };
};

export const SENSITIVE_EXPLAINERS: Explainers<'sensitive'> = { sensitive };
