/** Compares what two CPUs made of a case. */
import { GENERAL_REGISTERS } from '../../emulator/cpu-state.ts';
import { SEGMENT_NAMES } from '../../emulator/segmentation.ts';
import type { OracleCase, Outcome } from './case.ts';
import { type CaseResult, isOutcome } from './result.ts';

const PAGE_FAULT = 14;

/** One field that is not the same: its name and both values, `undefined` where there is none. */
export interface Difference {
  readonly field: string;
  readonly left: number | string | undefined;
  readonly right: number | string | undefined;
}

type Fields = Readonly<Record<string, number | undefined>>;

/** Everything that counts of an outcome, flat and by name. */
function fieldsOf(outcome: Outcome, oracleCase: OracleCase): Fields {
  const fields: Record<string, number | undefined> = {
    vector: outcome.vector,
    'error code': outcome.errorCode,
    eip: outcome.eip,
    eflags: (outcome.eflags & ~oracleCase.undefinedFlags) >>> 0,
    cr0: outcome.cr0,
    cr3: outcome.cr3,
    cr4: outcome.cr4,
    'gdtr.base': outcome.gdtr.base,
    'gdtr.limit': outcome.gdtr.limit,
    'idtr.base': outcome.idtr.base,
    'idtr.limit': outcome.idtr.limit,
    ldtr: outcome.ldtr,
    tr: outcome.tr,
    data: outcome.data,
    tables: outcome.tables,
  };
  for (const name of GENERAL_REGISTERS) {
    if (!oracleCase.ignore.includes(name)) fields[name] = outcome.registers[name];
  }
  for (const name of SEGMENT_NAMES) fields[name] = outcome.selectors[name];
  if (outcome.vector === PAGE_FAULT) fields.cr2 = outcome.cr2;
  return fields;
}

/** In ring 0 the handler's frame is on the case's stack. */
const stackCounts = (oracleCase: OracleCase, outcome: Outcome): boolean =>
  oracleCase.ring !== 0 && (oracleCase.mode === 'vm86' || (outcome.selectors.cs & 3) !== 0);

/** The fields in which two results differ; none: they agree. */
export function differences(oracleCase: OracleCase, left: CaseResult, right: CaseResult): Difference[] {
  if (!isOutcome(left) || !isOutcome(right)) {
    const text = (result: CaseResult): string =>
      isOutcome(result) ? `vector ${result.vector}` : `${result.failure}: ${result.detail}`;
    return [{ field: 'end', left: text(left), right: text(right) }];
  }
  const a = fieldsOf(left, oracleCase);
  const b = fieldsOf(right, oracleCase);
  const found: Difference[] = [];
  for (const field of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (a[field] !== b[field]) found.push({ field, left: a[field], right: b[field] });
  }
  if (stackCounts(oracleCase, left) && stackCounts(oracleCase, right) && left.stack !== right.stack) {
    found.push({ field: 'stack', left: left.stack, right: right.stack });
  }
  return found;
}
