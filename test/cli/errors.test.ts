import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../boot-protocols/protocol.ts';
import { didYouMean, nearest } from '../../boot-protocols/suggest.ts';
import type { StopKind } from '../../emulator/stop.ts';
import { failureOf, UsageError } from '../../src/cli/errors.ts';
import { EXIT, exitCodeOf } from '../../src/cli/exit-codes.ts';
import { KernelImageError } from '../../src/kernel-image/kernel-image.ts';
import { STOPS } from '../support/stops.ts';

describe('exit codes', () => {
  const expected: Partial<Record<StopKind, number>> = {
    shutdown: 6,
    budget: 7,
    timeout: 7,
    interrupted: 130,
    'engine-limit': 4,
  };

  it.each(Object.keys(STOPS) as StopKind[])('%s', kind => {
    expect(exitCodeOf(kind)).toBe(expected[kind] ?? 0);
  });
});

describe('an error', () => {
  it('of the image ends in 3', () => {
    expect(failureOf(new KernelImageError('not-a-kernel', 'x: no kernel'))).toEqual({
      code: 'not-a-kernel',
      sentence: 'x: no kernel',
      exit: EXIT.IMAGE,
    });
  });

  it('of a protocol ends in 3, or in 2 when the command line is wrong', () => {
    expect(failureOf(new ProtocolError('does-not-fit', 'x')).exit).toBe(EXIT.IMAGE);
    expect(failureOf(new ProtocolError('bad-knob', 'x', true)).exit).toBe(EXIT.USAGE);
  });

  it('of a signal ends in 130', () => {
    expect(failureOf(AbortSignal.abort().reason)).toEqual({
      code: 'interrupted',
      sentence: 'ended by Ctrl-C before it was done',
      exit: 130,
    });
  });

  it('of usage ends in 2', () => {
    expect(failureOf(new UsageError('missing-protocol', 'x')).exit).toBe(2);
  });

  it('that no one foresaw ends in 4, is called internal, and stays one line', () => {
    expect(failureOf(new TypeError('a\n  b'))).toEqual({
      code: 'internal',
      sentence: 'unexpected error: a b',
      exit: 4,
    });
    expect(failureOf('thrown text')).toMatchObject({ code: 'internal', exit: 4 });
  });
});

it('suggests the nearest name, and nothing when none is near', () => {
  const names = ['pc', 'lguest', 'xen', 'contract'];
  expect(nearest('lgest', names)).toBe('lguest');
  expect(nearest('Xen', names)).toBe('xen');
  expect(nearest('contrat', names)).toBe('contract');
  expect(nearest('multiboot', names)).toBeUndefined();
  expect(nearest('0x1', ['0', '1', '2', '3'])).toBeUndefined();
  expect(nearest('4', ['0', '1', '2', '3'])).toBeUndefined();
  expect(nearest('on', ['off', 'pae'])).toBeUndefined();
  expect(didYouMean('lgest', names)).toBe(' (did you mean lguest?)');
  expect(didYouMean('multiboot', names)).toBe('');
});
