/** Stops at a call out of the kernel: hypercalls and other software interrupts. */
import { FLAG_VM } from '../../../emulator/flags.ts';
import type { StopOf } from '../../../emulator/stop.ts';
import { exceptionTitle } from '../exceptions.ts';
import { hex8, hex32, hexShort } from '../hex.ts';
import { decidingLine, unusualClaims, unusualSentence } from './deciding.ts';
import type { Explainer, Explainers, Explanation, Scene } from './scene.ts';

const VIA = {
  int: stop => `int $${hexShort(stop.vector ?? 0)}`,
  vmcall: () => 'vmcall',
  vmmcall: () => 'vmmcall',
  'hypercall-page': () => 'the hypercall page',
  rom: () => 'its ROM',
} as const satisfies Record<StopOf<'hypercall'>['via'], (stop: StopOf<'hypercall'>) => string>;

/** The kernel is at an entry of the hypervisor's ROM, which is a call of it. */
const romCall = (stop: StopOf<'hypercall'>, scene: Scene): Explanation => {
  const name = scene.hypercallName(stop.number) ?? `entry ${stop.number}`;
  return {
    title: 'hypercall',
    claims: [`${name}, an entry of the ROM of ${scene.entry.protocol}`, name],
    why: `A guest of ${scene.entry.protocol} calls its hypervisor by its ROM; this is the entry ${name}.`,
    details: stop.arguments.map(
      ({ register, value }, index) => `argument ${index + 1} in ${register}: ${hex32(value)}`,
    ),
    facts: {
      via: stop.via,
      number: stop.number,
      name,
      ...Object.fromEntries(stop.arguments.map(({ register, value }) => [register, hex32(value)])),
    },
  };
};

const hypercall: Explainer<'hypercall'> = (stop, scene) => {
  if (stop.via === 'rom') return romCall(stop, scene);
  const name = scene.hypercallName(stop.number);
  const called = name === undefined ? `number ${stop.number}` : `${name} (${stop.number})`;
  const via = VIA[stop.via](stop);
  const values = stop.arguments.map(({ register, value }) => `${register}=${hexShort(value)}`).join(' ');
  return {
    title: 'hypercall',
    claims: [...(values ? [`${called} through ${via}, ${values}`] : []), `${called} through ${via}`, called],
    why: `A guest of ${scene.entry.protocol} asks its hypervisor through ${via}; the number is ${stop.number}${name === undefined ? ', which this protocol does not name' : `, ${name}`}.`,
    details: stop.arguments.map(
      ({ register, value }, index) => `argument ${index + 1} in ${register}: ${hex32(value)}`,
    ),
    facts: {
      via: stop.via,
      ...(stop.vector !== undefined && { vector: hex8(stop.vector) }),
      number: stop.number,
      ...(name !== undefined && { name }),
      ...Object.fromEntries(stop.arguments.map(({ register, value }) => [register, hex32(value)])),
    },
  };
};

/** Vectors below are exceptions (SDM vol. 3, 6.2). */
const FIRST_FREE_VECTOR = 32;

const softwareInterrupt: Explainer<'software-interrupt'> = (stop, scene) => {
  const rule = scene.rule('int');
  const line = rule && (stop.cpu.eflags & FLAG_VM) !== 0 ? decidingLine(rule, stop) : undefined;
  // In virtual-8086 mode IOPL decides, before any gate is looked at.
  if (rule && line && stop.exception) {
    return {
      title: exceptionTitle(stop.exception),
      claims: unusualClaims(line, scene, stop),
      why: unusualSentence(rule, line, scene, stop),
      rule,
      line,
      details: [],
      facts: { rule: rule.id, vector: hex8(stop.vector) },
    };
  }
  const vectors = scene.entry.platform.hypercallVectors.map(hex8);
  const known =
    vectors.length === 0
      ? `${scene.entry.protocol} has no hypercall vector`
      : `hypercalls of ${scene.entry.protocol} use ${vectors.join(', ')}`;
  // At CPL 0 no DPL is too low: it is the gate that is missing.
  const gate = stop.cpu.cpl === 0 ? 'which must be there and present' : 'whose DPL must be at least CPL';
  return {
    // INT n through an open gate is no exception, although it goes through the same table.
    title:
      stop.exception && stop.exception.vector < FIRST_FREE_VECTOR
        ? exceptionTitle(stop.exception)
        : 'software interrupt',
    claims: [
      `${scene.instruction} calls vector ${hex8(stop.vector)}; ${known}`,
      `${scene.instruction}: ${known}`,
      `${scene.instruction} calls vector ${hex8(stop.vector)}`,
      `${scene.mnemonic} calls vector ${hex8(stop.vector)}`,
    ],
    why: `${scene.mnemonic} goes through gate ${hex8(stop.vector)} of the IDT, ${gate} (SDM vol. 3, 6.12.1); ${known}.`,
    details: [],
    facts: { vector: hex8(stop.vector) },
  };
};

export const CALL_EXPLAINERS: Explainers<'hypercall' | 'software-interrupt'> = {
  hypercall,
  'software-interrupt': softwareInterrupt,
};
