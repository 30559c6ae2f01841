/** The stop at a silent instruction: nothing faults, and the kernel is shown or given something else. */
import type { Sight } from '../../../emulator/observe/observation.ts';
import { sightReport } from '../observations/sights.ts';
import { decidingLine } from './deciding.ts';
import { type Explainer, type Explainers, whoRuns } from './scene.ts';

/** What an instruction does with what it shows. */
const VERBS: Readonly<Partial<Record<Sight['what'], string>>> = {
  'flags-loaded': 'leaves',
  'segment-loaded': 'loads',
  transfer: 'goes to',
  'task-switch': 'switches to',
};

const sensitive: Explainer<'sensitive'> = (stop, scene) => {
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
