/** What passed silently, as JSON. */
import type { Observation, ObservedPlace } from '../../../emulator/observe/observation.ts';
import { disassemble, type Syntax } from '../disassemble.ts';
import { flagReport } from '../flags.ts';
import { hex32, hexBytes } from '../hex.ts';
import type { Names } from '../names.ts';
import type { ObservationReport, ObservedPlaceReport } from './report.ts';
import { sightReport } from './sights.ts';

export function observationReports(
  observations: readonly Observation[],
  names: Names,
  syntax: Syntax,
): ObservationReport[] {
  return observations.map(observation => {
    const { rule, count, counted, first, place, saw, bare, differs, lost, instead } = observation;
    const at = (where: ObservedPlace): ObservedPlaceReport => placeReport(where, counted, names, syntax);
    return {
      rule,
      count,
      counted,
      first: at(first),
      ...(place.address !== first.address && { place: at(place) }),
      saw: sightReport(saw),
      bare: sightReport(bare),
      differs,
      ...(lost && { lost: lost.map(flagReport) }),
      ...(instead && { instead: { ...instead } }),
    };
  });
}

function placeReport(
  { address, bytes, instruction, bits }: ObservedPlace,
  counted: boolean,
  names: Names,
  syntax: Syntax,
): ObservedPlaceReport {
  const symbol = names.symbol(address);
  return {
    address: hex32(address),
    ...(symbol !== undefined && { symbol }),
    bytes: hexBytes(bytes),
    text: (disassemble(bytes, address, syntax, 1, bits)[0]?.text ?? '').replace(/\s+/g, ' '),
    ...(counted && { instructions: instruction }),
  };
}
