/** Runs one line of an image's expected.json, and shows of the Stop what that line speaks of. */
import { readFileSync } from 'node:fs';
import { findProtocol } from '../../boot-protocols/index.ts';
import { Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import type { CatalogImage, Expectation, ExpectedStop } from '../../images/catalog.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';

export interface RunResult {
  readonly stop: Stop;
  readonly serial: string;
}

export function runExpectation(
  library: UnicornLibrary,
  image: CatalogImage,
  expectation: Expectation,
): RunResult {
  const kernel = readKernelImage(new Uint8Array(readFileSync(image.file)), { name: image.name });
  const { as, knobs, cmdline } = expectation;
  const entry = findProtocol(as).entryState(kernel, {
    ...knobs,
    ...(cmdline === undefined ? {} : { cmdline }),
  });
  let serial = '';
  const machine = Machine.open(library, entry, {
    onSerial: bytes => {
      serial += Buffer.from(bytes).toString('latin1');
    },
  });
  try {
    return { stop: machine.run(), serial };
  } finally {
    machine.close();
  }
}

const hex = (value: number, digits = 8): string => `0x${value.toString(16).padStart(digits, '0')}`;
const maybeHex = (value: number | undefined, digits = 8): string | undefined =>
  value === undefined ? undefined : hex(value, digits);

/** A field of the Stop, if its kind has one of that name. */
const field = (stop: Stop, name: string): unknown => (name in stop ? Reflect.get(stop, name) : undefined);
const numberField = (stop: Stop, name: string): number | undefined => {
  const value = field(stop, name);
  return typeof value === 'number' ? value : undefined;
};

const flagOrder = (a: { flag: string }, b: { flag: string }): number => a.flag.localeCompare(b.flag);

/** Both sides in one form, with exactly the fields that `expected` has. */
export function comparable(
  stop: Stop,
  expected: ExpectedStop,
): { readonly actual: object; readonly wanted: object } {
  const { at, instruction, lost, arguments: wantedArguments, ...rest } = expected;
  const wanted: Record<string, unknown> = { errorCode: undefined, ...rest };
  const all: Record<string, unknown> = {
    kind: stop.kind,
    address: maybeHex(stop.instruction?.address),
    vector: stop.exception?.vector ?? null,
    errorCode: stop.exception?.errorCode,
    instructions: stop.instructions,
    faultAddress: stop.kind === 'page-fault' ? hex(stop.address) : undefined,
    interrupt: numberField(stop, 'vector'),
    selector: maybeHex(numberField(stop, 'selector'), 4),
    offset: maybeHex(numberField(stop, 'offset')),
    first: stop.kind === 'shutdown' ? stop.first.vector : undefined,
    port: portOf(stop, expected),
  };
  const actual: Record<string, unknown> = {};
  for (const name of Object.keys(wanted)) actual[name] = name in all ? all[name] : field(stop, name);
  if (lost) {
    wanted.lost = [...lost].sort(flagOrder);
    actual.lost = stop.kind === 'popf' || stop.kind === 'iret' ? [...stop.lost].sort(flagOrder) : undefined;
  }
  if (wantedArguments) {
    wanted.arguments = wantedArguments;
    actual.arguments = Object.fromEntries(
      (stop.kind === 'hypercall' ? stop.arguments : [])
        .filter(({ register }) => register in wantedArguments)
        .map(({ register, value }) => [register, hex(value)]),
    );
  }
  return { actual, wanted };
}

function portOf(stop: Stop, expected: ExpectedStop): unknown {
  if (stop.kind !== 'iopl-sensitive-instruction' || !stop.port) return undefined;
  const { value, ...port } = stop.port;
  return expected.port?.value === undefined ? port : { ...port, value: maybeHex(value) };
}
