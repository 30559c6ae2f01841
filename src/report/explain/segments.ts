/** Stops about segments: loads that fail, and accesses through a segment that does not allow them. */
import { type Descriptor, selectorRpl } from '../../../emulator/segmentation.ts';
import type { SegmentLoadProblem, StopOf } from '../../../emulator/stop.ts';
import { descriptorInWords, selectorInWords, tableOf } from '../descriptor.ts';
import { exceptionTitle } from '../exceptions.ts';
import { hex16, hex32, hexShort } from '../hex.ts';
import type { Explainer, Explainers, Scene } from './scene.ts';

type Load = StopOf<'segment-load'>;
type SegmentAccess = StopOf<'segment-access'>;

const descriptorDetail = (d: Descriptor): string => `descriptor: ${descriptorInWords(d)}`;

interface Problem {
  /** Continues `loading ds with selector 0x0018: `. */
  readonly claim: string;
  readonly why: string;
}

/** The transfers that may lower privilege, as AT&T spells them; jmp, call and the rest keep it. */
const isReturn = ({ mnemonic }: Scene): boolean => /^(lret|iret)/.test(mnemonic);

/** A table that holds no descriptor but the null one: the kernel was started so, or has loaded GDTR itself. */
function noGdt(stop: Load, scene: Scene): Problem {
  const { base, limit } = stop.cpu.gdtr;
  const started = scene.entry.gdtr.limit === limit && scene.entry.gdtr.base === base;
  const whose = started
    ? `${scene.entry.protocol} started the kernel so (--gdt ${scene.entry.knobs.gdt ?? 'none'})`
    : 'the kernel has loaded GDTR since it was started';
  const table = `GDTR has base ${hex32(base)} and limit ${hexShort(limit)}: no descriptor but the null one lies within it; ${whose}`;
  return stop.exception
    ? {
        claim: `there is no GDT (limit ${hexShort(limit)})`,
        why: `A segment-register load reads a descriptor from the GDT (SDM vol. 3, 3.4.3). ${table}. The kernel must keep the segments that it was started with (KEEP_SEGMENTS), or bring a GDT of its own first.`,
      }
    : {
        claim: 'null from now on, and no GDT to load it from again',
        why: `Loading ${stop.register} with a null selector raises no fault (SDM vol. 3, 3.4.2), but every access to memory through it does. ${table}, so that no other selector can be loaded into it.`,
      };
}

const TYPES: Readonly<Record<Load['register'], string>> = {
  es: 'DS, ES, FS and GS take data or readable code',
  cs: 'CS takes code',
  ss: 'SS takes writable data',
  ds: 'DS, ES, FS and GS take data or readable code',
  fs: 'DS, ES, FS and GS take data or readable code',
  gs: 'DS, ES, FS and GS take data or readable code',
  ldtr: 'LDTR takes an LDT',
  tr: 'TR takes an available TSS',
};

/** SDM vol. 3, 5.5 (data), 5.7 (SS), 5.8.1 (CS by JMP and CALL), 5.8.6 (CS by RET). */
function privilege(stop: Load, scene: Scene): Problem {
  const rpl = selectorRpl(stop.selector);
  const dpl = stop.descriptor ? ` ${stop.descriptor.dpl}` : '';
  if (stop.register === 'cs' && isReturn(scene)) {
    return {
      claim: `its DPL${dpl} does not admit a return to RPL ${rpl}`,
      why: 'A far return goes to the privilege level that the RPL of its CS selector names: a code segment must have DPL = RPL, a conforming one DPL <= RPL, else #GP(selector) (SDM vol. 3, 5.8.6; vol. 2, RET and IRET).',
    };
  }
  const claim = `its DPL${dpl} does not admit CPL ${scene.cpl}, RPL ${rpl}`;
  if (stop.register === 'cs') {
    return {
      claim,
      why: 'A far jump or call without a gate keeps its privilege level: a code segment must have DPL = CPL and the selector RPL <= CPL, a conforming one DPL <= CPL, else #GP(selector) (SDM vol. 3, 5.8.1).',
    };
  }
  return stop.register === 'ss'
    ? { claim, why: 'SS takes a segment whose DPL is CPL: #GP(selector) (SDM vol. 3, 5.7).' }
    : {
        claim,
        why: 'DS, ES, FS and GS take a data or nonconforming code segment only when its DPL is at least CPL and RPL: #GP(selector) (SDM vol. 3, 5.5).',
      };
}

/** SDM vol. 2, MOV, "Protected Mode Exceptions"; vol. 3, 5.5 to 5.8. */
const LOAD_PROBLEMS: { readonly [K in SegmentLoadProblem]: (stop: Load, scene: Scene) => Problem } = {
  'no-gdt': noGdt,
  null: stop => ({
    claim: `${stop.register} cannot hold the null selector`,
    why:
      stop.register === 'cs'
        ? 'A far transfer to a null CS selector is #GP(0) (SDM vol. 2, JMP, CALL, RET and IRET).'
        : 'CS and SS cannot be loaded with a null selector: #GP(0) (SDM vol. 2, MOV; vol. 3, 3.4.2).',
  }),
  limit: stop => ({
    claim: `it is beyond the limit of the ${tableOf(stop.selector)}`,
    why: 'The 8 bytes of a descriptor must lie within the limit of its table: #GP(selector) (SDM vol. 3, 5.3).',
  }),
  'not-present': stop => ({
    claim: 'its segment is not present',
    why:
      stop.register === 'ss'
        ? 'A descriptor with P clear cannot be loaded into SS: #SS(selector) (SDM vol. 3, 6.15, interrupt 12).'
        : 'A descriptor with P clear cannot be loaded: #NP(selector) (SDM vol. 3, 6.15, interrupt 11).',
  }),
  type: stop => ({
    claim: `its descriptor has no type that ${stop.register} takes`,
    why: `Each segment register takes certain types only: ${TYPES[stop.register]} (SDM vol. 3, 5.4.1).`,
  }),
  privilege,
  rpl: (stop, scene) =>
    stop.register === 'cs'
      ? {
          claim: `its RPL ${selectorRpl(stop.selector)} is below CPL ${scene.cpl}`,
          why: 'A far return never raises privilege: the RPL of its CS selector must be at least CPL, else #GP(selector) (SDM vol. 3, 5.8.6; vol. 2, RET and IRET).',
        }
      : {
          claim: `its RPL ${selectorRpl(stop.selector)} is not CPL ${scene.cpl}`,
          why: 'SS takes only a selector whose RPL is CPL: #GP(selector) (SDM vol. 3, 5.7).',
        },
  'no-ldt': () => ({
    claim: 'its TI bit names the LDT, and there is none',
    why: 'A selector with TI set is looked up in the LDT (SDM vol. 3, 3.4.2), and LDTR holds the null selector.',
  }),
};

/** For a headline that has no room for more. */
const LOADS_IN_SHORT: Readonly<Record<SegmentLoadProblem, string>> = {
  'no-gdt': 'there is no GDT',
  null: 'it is null',
  limit: 'it is beyond the limit',
  'not-present': 'not present',
  type: 'the wrong type',
  privilege: 'the wrong DPL',
  rpl: 'the wrong RPL',
  'no-ldt': 'there is no LDT',
};

const segmentLoad: Explainer<'segment-load'> = (stop, scene) => {
  const { claim, why } = LOAD_PROBLEMS[stop.problem](stop, scene);
  const selector = hex16(stop.selector);
  return {
    title: stop.exception ? exceptionTitle(stop.exception) : 'segment load',
    claims: [
      `loading ${stop.register} with selector ${selector}: ${claim}`,
      `loading ${stop.register} with selector ${selector}: ${LOADS_IN_SHORT[stop.problem]}`,
    ],
    why,
    details: [
      selectorInWords(stop.selector),
      ...(stop.descriptor ? [descriptorDetail(stop.descriptor)] : []),
    ],
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

/** For a headline that has no room for more. */
const ACCESSES_IN_SHORT: Readonly<Record<SegmentAccess['problem'], string>> = {
  null: 'a null selector',
  limit: 'beyond the limit',
  'read-only': 'not writable',
  'execute-only': 'execute-only code',
  'not-present': 'not present',
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
      `${stop.access} at ${target}: ${ACCESSES_IN_SHORT[stop.problem]}`,
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
