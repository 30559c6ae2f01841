/** Stops about segments: loads that fail, and accesses through a segment that does not allow them. */
import {
  type Descriptor,
  selectorIndex,
  selectorRpl,
  selectorUsesLdt,
} from '../../../emulator/segmentation.ts';
import type { SegmentLoadProblem, StopOf } from '../../../emulator/stop.ts';
import { exceptionTitle } from '../exceptions.ts';
import { hex16, hex32, hexShort } from '../hex.ts';
import type { Explainer, Explainers, Scene } from './scene.ts';

type Load = StopOf<'segment-load'>;
type SegmentAccess = StopOf<'segment-access'>;

const tableOf = (selector: number): string => (selectorUsesLdt(selector) ? 'LDT' : 'GDT');

const selectorDetail = (selector: number): string =>
  `selector ${hex16(selector)}: ${tableOf(selector)} entry ${hexShort(selectorIndex(selector))}, RPL ${selectorRpl(selector)}`;

const descriptorDetail = (d: Descriptor): string =>
  `descriptor: base ${hex32(d.base)}, limit ${hex32(d.limit)}, type ${hexShort(d.type)}, ` +
  `${d.codeOrData ? 'code or data' : 'system'}, DPL ${d.dpl}, ${d.present ? 'present' : 'not present'}`;

interface Problem {
  /** Continues `loading ds with 0x0018: `. */
  readonly claim: (stop: Load, scene: Scene) => string;
  readonly why: string;
}

/** SDM vol. 2, MOV, "Protected Mode Exceptions"; vol. 3, 5.5 and 5.6. */
const LOAD_PROBLEMS: { readonly [K in SegmentLoadProblem]: Problem } = {
  'no-gdt': {
    claim: (_, scene) => `there is no GDT under ${scene.entry.protocol}`,
    why: 'A segment-register load reads a descriptor from the GDT (SDM vol. 3, 3.4.3), and this boot protocol gives the kernel none. The kernel must keep the segments that it was started with (KEEP_SEGMENTS), or bring a GDT of its own first.',
  },
  null: {
    claim: stop => `${stop.register} cannot hold the null selector`,
    why: 'CS and SS cannot be loaded with a null selector: #GP(0) (SDM vol. 2, MOV; vol. 3, 3.4.2).',
  },
  limit: {
    claim: stop => `it is beyond the limit of the ${tableOf(stop.selector)}`,
    why: 'The 8 bytes of a descriptor must lie within the limit of its table: #GP(selector) (SDM vol. 3, 5.3).',
  },
  'not-present': {
    claim: () => 'its segment is not present',
    why: 'A descriptor with P clear cannot be loaded: #NP(selector), and #SS(selector) for SS (SDM vol. 3, 6.15, interrupts 11 and 12).',
  },
  type: {
    claim: stop => `its descriptor has no type that ${stop.register} takes`,
    why: 'Each segment register takes certain types only: SS writable data, DS ES FS GS data or readable code, CS code, LDTR an LDT, TR an available TSS (SDM vol. 3, 5.4.1).',
  },
  privilege: {
    claim: (stop, scene) =>
      stop.descriptor
        ? `its DPL ${stop.descriptor.dpl} does not admit CPL ${scene.cpl}, RPL ${selectorRpl(stop.selector)}`
        : `its DPL does not admit CPL ${scene.cpl}`,
    why: 'DS, ES, FS and GS take a segment whose DPL is at least CPL and RPL; SS one whose DPL is CPL (SDM vol. 3, 5.6 and 5.7).',
  },
  rpl: {
    claim: (stop, scene) => `its RPL ${selectorRpl(stop.selector)} is not CPL ${scene.cpl}`,
    why: 'SS takes only a selector whose RPL is CPL: #GP(selector) (SDM vol. 3, 5.7).',
  },
  'no-ldt': {
    claim: () => 'its TI bit names the LDT, and there is none',
    why: 'A selector with TI set is looked up in the LDT (SDM vol. 3, 3.4.2), and LDTR holds the null selector.',
  },
};

const segmentLoad: Explainer<'segment-load'> = (stop, scene) => {
  const problem = LOAD_PROBLEMS[stop.problem];
  const claim = problem.claim(stop, scene);
  const selector = hex16(stop.selector);
  return {
    title: stop.exception ? exceptionTitle(stop.exception) : 'segment load',
    claims: [
      `loading ${stop.register} with selector ${selector}: ${claim}`,
      `${stop.register} := ${selector}: ${claim}`,
      `${stop.register} := ${selector} (${stop.problem})`,
    ],
    why: problem.why,
    details: [selectorDetail(stop.selector), ...(stop.descriptor ? [descriptorDetail(stop.descriptor)] : [])],
    facts: { register: stop.register, selector, problem: stop.problem },
  };
};

interface AccessProblem {
  readonly claim: (stop: SegmentAccess) => string;
  readonly why: string;
}

const holds = (stop: SegmentAccess): string => `${stop.register}=${hex16(stop.selector)}`;

/** SDM vol. 3, 5.3 (limits), 5.4 (types), 5.4.1 (null selector). */
const ACCESS_PROBLEMS: { readonly [K in SegmentAccess['problem']]: AccessProblem } = {
  null: {
    claim: stop => `${stop.register} holds a null selector (${hex16(stop.selector)})`,
    why: 'A null selector may be loaded, but any access to memory through it raises #GP(0) (SDM vol. 3, 3.4.2 and 5.4.1).',
  },
  limit: {
    claim: stop =>
      stop.descriptor
        ? `beyond the limit ${hex32(stop.descriptor.limit)} of ${holds(stop)}`
        : `beyond the limit of ${holds(stop)}`,
    why: 'Every byte of an access must lie within the segment: #GP(0), and #SS(0) through SS (SDM vol. 3, 5.3).',
  },
  'read-only': {
    claim: stop => `${holds(stop)} is not writable`,
    why: 'A segment is written through only when its descriptor is writable data (SDM vol. 3, 5.4).',
  },
  'execute-only': {
    claim: stop => `${holds(stop)} is execute-only code`,
    why: 'A code segment is read through only when its descriptor has the readable bit (SDM vol. 3, 5.4).',
  },
  'not-present': {
    claim: stop => `the segment of ${holds(stop)} is not present`,
    why: 'An access needs a present segment (SDM vol. 3, 5.4.1 and 6.15, interrupts 11 and 12).',
  },
};

const segmentAccess: Explainer<'segment-access'> = (stop, scene) => {
  const problem = ACCESS_PROBLEMS[stop.problem];
  const claim = problem.claim(stop);
  const target = `${stop.register}:${hex32(stop.offset)}`;
  return {
    title: stop.exception ? exceptionTitle(stop.exception) : 'segment access',
    claims: [
      `${stop.size}-byte ${stop.access} at ${target}: ${claim}`,
      `${stop.access} at ${target}: ${claim}`,
      `${stop.access} at ${target} (${stop.problem})`,
    ],
    why: `${problem.why} Started by ${scene.entry.protocol}, the kernel found ${stop.register}=${hex16(scene.entry.segments[stop.register].selector)}.`,
    details: stop.descriptor ? [descriptorDetail(stop.descriptor)] : [],
    facts: {
      register: stop.register,
      selector: hex16(stop.selector),
      problem: stop.problem,
      access: stop.access,
      offset: hex32(stop.offset),
      size: stop.size,
    },
  };
};

export const SEGMENT_EXPLAINERS: Explainers<'segment-load' | 'segment-access'> = {
  'segment-load': segmentLoad,
  'segment-access': segmentAccess,
};
