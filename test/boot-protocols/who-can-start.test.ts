/** Which protocols start an image; asked of protocols made up for it, and of the real ones. */
import { describe, expect, it } from 'vitest';
import type { BootProtocol, ProtocolName, Startable } from '../../boot-protocols/protocol.ts';
import { startersInWords, startersOf, whoCanStart } from '../../boot-protocols/who-can-start.ts';
import { failureOf, UnstartableError } from '../../src/cli/errors.ts';
import { orSayWhoCan } from '../../src/cli/who-can.ts';
import { ProtocolError } from '../../src/index.ts';
import type { BzImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { protocol as madeUp } from '../support/stops.ts';
import { bzImage, vmlinux } from './images.ts';

const NO: Startable = { ok: false, code: 'no-note', reason: 'there is no note' };
const YES: Startable = { ok: true };

/** Takes the formats that it is told. */
const takes = (name: ProtocolName, unpacks: boolean, ...formats: KernelImage['format'][]): BootProtocol => ({
  ...madeUp,
  name,
  unpacks,
  canStart: image => (formats.includes(image.format) ? YES : NO),
});

const PROTOCOLS = [
  takes('pc', false, 'elf', 'bzimage'),
  takes('multiboot', false, 'elf'),
  takes('xen', true, 'elf'),
  takes('vmi', false),
];

const packed: BzImage = {
  ...bzImage(),
  payload: { offset: 0x1000, length: 16, format: 'xz', found: 'header' },
};

describe('of a bzImage', () => {
  it('whose kernel proper is not at hand, who unpacks is not known', () => {
    const starters = startersOf(packed, PROTOCOLS);
    expect(starters.map(({ protocol, starts, answer }) => [protocol, starts, answer.ok])).toEqual([
      ['pc', 'image', true],
      ['multiboot', 'image', false],
      ['xen', 'kernel proper', false],
      ['vmi', 'image', false],
    ]);
    expect(startersInWords(starters)).toBe(
      'it can be started as: pc; what is inside it was not looked at, and may do for: xen',
    );
  });

  it('that has none, who unpacks cannot start it', () => {
    const xen = startersOf(bzImage(), PROTOCOLS).find(({ protocol }) => protocol === 'xen');
    expect(xen?.answer).toMatchObject({ ok: false, code: 'no-payload' });
    const x64 = startersOf({ ...packed, is64Bit: true }, PROTOCOLS).find(
      ({ protocol }) => protocol === 'xen',
    );
    expect(x64?.answer).toMatchObject({ ok: false, code: 'elf64' });
  });

  it('whose kernel proper is, everyone is asked about both', () => {
    expect(startersInWords(startersOf(bzImage(), PROTOCOLS, vmlinux()))).toBe(
      'it can be started as: pc, xen; with --payload as: multiboot',
    );
  });
});

it('of an ELF file everyone is asked, and one that no one starts is said to be so', () => {
  expect(startersInWords(startersOf(vmlinux(), PROTOCOLS))).toBe('it can be started as: pc, multiboot, xen');
  expect(startersInWords(startersOf(vmlinux(), PROTOCOLS.slice(3)))).toBe('no protocol starts it as it is');
});

it('the real protocols answer in the order in which they are listed, with their reasons', () => {
  const starters = whoCanStart(vmlinux());
  expect(starters.find(({ protocol }) => protocol === 'pc')?.answer).toEqual(YES);
  // No Xen notes: each PV entry has to be named by one.
  expect(starters.find(({ protocol }) => protocol === 'xen')?.answer).toMatchObject({ ok: false });
});

describe('an error of a protocol', () => {
  const attempt = { path: 'images/none', image: vmlinux(), protocol: takes('vmi', false) };
  const failing = (error: Error) => () => {
    throw error;
  };

  it('about the image says who can start it', async () => {
    const failed = orSayWhoCan(attempt, failing(new ProtocolError('no-rom', 'there is no ROM')));
    await expect(failed).rejects.toBeInstanceOf(UnstartableError);
    const failure = failureOf(await failed.catch(error => error));
    expect(failure).toMatchObject({ code: 'no-rom', sentence: 'there is no ROM', exit: 3 });
    expect(failure.hint).toMatch(/^it can be started as: pc, /);
    expect(failure.hint).not.toMatch(/\bvmi\b/);
  });

  it('about a knob, or about memory that --memory gives, stays as it is', async () => {
    const usage = new ProtocolError('bad-knob', '--ring is 4', true);
    await expect(orSayWhoCan(attempt, failing(usage))).rejects.toBe(usage);
    const memory = new ProtocolError('image-too-big', 'it needs 65 MiB');
    const starting = { ...attempt, protocol: takes('pc', false, 'elf') };
    await expect(orSayWhoCan(starting, failing(memory))).rejects.toBe(memory);
  });
});
