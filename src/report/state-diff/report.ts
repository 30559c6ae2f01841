/** What differs between two EntryStates as JSON, `startup32/state-diff@1`, as types. */
import type {
  StateBank,
  StateBits,
  StateField,
  StateMapping,
  StatePlatform,
  StateRegion,
  StateRegister,
  StateReport,
  StateSegment,
  StateStructure,
  StateTable,
} from '../state/report.ts';

/** What is compared: each as `startup32/state@1` has it, and paired between the two by its name. */
export interface ComparedParts {
  ring: { value: StateReport['ring'] };
  /** By its name, `eax`. */
  register: StateRegister;
  eip: StateReport['eip'];
  eflags: StateReport['eflags'];
  /** By its name, LDTR and TR too. */
  segment: StateSegment;
  /** `gdtr`, `idtr`. */
  table: StateTable;
  /** By its name, `cr0`. */
  control: StateBits;
  paging: { mode: StateReport['paging']['mode']; tablePages: number };
  /** By its linear address. */
  mapping: StateMapping;
  memory: { undefinedByte: string };
  /** By its start. */
  bank: StateBank;
  /** By its name; the second of one name is `name #2`. */
  region: StateRegion;
  /** By its name. Where its layout is known from is no part of a state. */
  structure: Omit<StateStructure, 'fields' | 'citation'>;
  /** By its structure's name and its own: `boot_params.hdr.version`. */
  field: Omit<StateField, 'citation'>;
  platform: StatePlatform;
}

export type ComparedPart = keyof ComparedParts;

export interface DifferenceIn<P extends ComparedPart> {
  part: P;
  name: string;
  /** Dotted names of the values that differ; all of them where only one has it. */
  differ: string[];
  /** Absent: the first state does not have it. */
  a?: ComparedParts[P];
  /** Absent: the second state does not have it. */
  b?: ComparedParts[P];
}

export type StateDifference = { [P in ComparedPart]: DifferenceIn<P> }[ComparedPart];

export type ComparedState = Pick<StateReport, 'protocol' | 'knobs' | 'image'>;

export interface StateDiffReport {
  schema: 'startup32/state-diff@1';
  a: ComparedState;
  b: ComparedState;
  /** In the order of the state's own report. */
  differences: StateDifference[];
}
