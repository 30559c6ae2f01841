/**
 * Which system starts which real kernel, and where it stops: `table.json`, one row an image, one cell a protocol with its
 * own values of the knobs. The cells were read off the kernels' code (objdump) and the manuals, and hold on every engine.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProtocolName } from '../../../boot-protocols/protocol.ts';
import type { StopKind } from '../../../emulator/stop.ts';
import type { EngineName } from '../../../emulator/unicorn/api.ts';
import type { RealInput } from '../../support/real-input.ts';

/** Enough for every kernel to come to what it traps at; a cell that uses them up says `budget`. */
export const INSTRUCTIONS = 2_000_000;

/** The protocol does not start the image: the code of its error. */
export interface Refused {
  readonly refused: string;
}

/** It starts, and stops there. */
export interface Started {
  readonly kind: StopKind;
  /** Symbol and offset; absent where it depends on how far the instructions reach. */
  readonly at?: string;
  /** AT&T syntax, with single spaces. */
  readonly instruction?: string;
  /** Hypercalls by their name. */
  readonly hypercall?: string;
  /** An engine that comes to another end, and which. */
  readonly but?: Readonly<Partial<Record<EngineName, Started>>>;
}

export type Cell = Refused | Started;

export interface Row {
  readonly image: RealInput;
  /** The kernel proper out of the bzImage, rather than the code around it. */
  readonly payload?: boolean;
  readonly cells: Readonly<Record<ProtocolName, Cell>>;
}

export const readTable = (): readonly Row[] =>
  JSON.parse(readFileSync(join('test', 'real', 'systems', 'table.json'), 'utf8')) as Row[];

export const rowTitle = ({ image, payload }: Pick<Row, 'image' | 'payload'>): string =>
  payload === true ? `${image}, its kernel proper` : image;

/** What a cell says of one engine. */
export const cellOn = (cell: Started, engine: EngineName): Started => cell.but?.[engine] ?? cell;
