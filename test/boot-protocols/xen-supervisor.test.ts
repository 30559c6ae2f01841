/** dom0 in ring 0: Xen 4.2 xen/arch/x86/domain_build.c, x86_32/traps.c, x86_32/mm.c and supervisor_mode_kernel.S. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hypercallPageOfRing0 } from '../../boot-protocols/xen/hypercalls.ts';
import { INSTEAD } from '../../boot-protocols/xen-supervisor/instead.ts';
import { xenSupervisor } from '../../boot-protocols/xen-supervisor/protocol.ts';
import { Machine } from '../../emulator/machine.ts';
import { findRule } from '../../emulator/privilege/index.ts';
import type { RunOptions } from '../../emulator/run-options.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { imageCatalog } from '../../images/catalog.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';
import { stopReport } from '../../src/report/stop/json.ts';
import { textReport } from '../../src/report/stop/text.ts';
import { describeEachEngine } from '../support/engines.ts';
import { bzImage, XEN_NOTES, xenKernel } from './images.ts';
import { protocolError, selectors, viewOf } from './read.ts';

const NOTES = { ...XEN_NOTES, features: 'supervisor_mode_kernel|pae_pgdir_above_4gb' };

describe('xen-supervisor: the entry', () => {
  const entry = xenSupervisor.entryState(xenKernel(NOTES), {});

  it('is in ring 0 with the RPL cleared: CS 0xe018, everything else 0xe020', () => {
    expect(entry.ring).toBe(0);
    expect(selectors(entry)).toEqual({
      cs: 'e018',
      ds: 'e020',
      es: 'e020',
      fs: 'e020',
      gs: 'e020',
      ss: 'e020',
    });
  });

  it('has descriptors of DPL 0 that end with the M2P table, as those of ring 1 do', () => {
    const gdt = viewOf(entry, 'Xen GDT');
    expect(gdt.getBigUint64(0xe018, true)).toBe(0x00cf9b00000067ffn);
    expect(gdt.getBigUint64(0xe020, true)).toBe(0x00cf9300000067ffn);
    expect(gdt.getBigUint64(0xe028, true)).toBe(0x00cffb00000067ffn);
  });

  it('is dom0: such a Xen makes no other domain', () => {
    expect(viewOf(entry, 'start_info').getUint32(0x28, true)).toBe(3);
    expect(entry.structures.map(({ name }) => name)).toContain('dom0_vga_console_info');
  });

  it('has a hypercall page that calls Xen’s own code segment', () => {
    const page = hypercallPageOfRing0(0xe008, 0xff100000);
    expect([...page.subarray(18 * 32, 18 * 32 + 16)]).toEqual([
      ...[0x9c, 0xfa, 0xb8, 18, 0, 0, 0], // pushf; cli; mov $18,%eax
      ...[0x9a, 0x00, 0x00, 0x10, 0xff, 0x08, 0xe0], // lcall $0xe008,$0xff100000
      ...[0xc3, 0xcc], // ret
    ]);
    expect([...page.subarray(23 * 32, 23 * 32 + 3)]).toEqual([0x50, 0x9c, 0xfa]);
    expect(page[23 * 32 + 15]).toBe(0xcc);
    expect(entry.platform.hypercallEntry).toEqual({ selector: 0xe008, offset: 0xff100000 });
  });

  it('says for privileged and IOPL-sensitive rules alone what they stand in place of', () => {
    for (const rule of Object.keys(entry.platform.instead ?? {})) {
      expect(['privileged', 'iopl-sensitive'], rule).toContain(findRule(rule)?.class);
    }
    expect(INSTEAD.lgdt?.by).toContain('set_gdt');
    expect(INSTEAD['mov-to-cr']?.by).toContain('MMUEXT_NEW_BASEPTR');
    expect(INSTEAD.cli?.by).toContain('evtchn_upcall_mask');
  });
});

describe('xen-supervisor: what cannot be started', () => {
  it.each([
    ['not-for-dom0', 'supervisor_mode_kernel', xenKernel()],
    ['bad-xen-note', 'HV_START_LOW', xenKernel({ ...NOTES, hvStartLow: 0xfc000000 })],
    ['needs-elf', 'payload', bzImage()],
  ])('%s: %s', (code, named, image) => {
    expect(xenSupervisor.canStart(image)).toMatchObject({ ok: false, code });
    expect(protocolError(() => xenSupervisor.entryState(image, {})).message).toContain(named);
  });

  it('a kernel that says so by SUPPORTED_FEATURES, bit 3, can', () => {
    expect(xenSupervisor.canStart(xenKernel({ ...XEN_NOTES, supportedFeatures: 8 }))).toEqual({ ok: true });
  });
});

const file = imageCatalog().find(({ name }) => name === 'xen-ring0')?.file ?? '';
const image = readKernelImage(new Uint8Array(readFileSync(file)), { name: 'xen-ring0.elf' });
const entry = xenSupervisor.entryState(image, {});

const run = (library: UnicornLibrary, options: RunOptions = {}) => {
  using machine = Machine.open(library, entry);
  const stop = machine.run(options);
  const engine = { name: 'an engine', version: '1' };
  return { stop, json: stopReport(stop, { entry, image, protocol: xenSupervisor, engine }) };
};

describeEachEngine('xen-supervisor: violations', engine => {
  it('are observed and counted, in the order of their first places; the hypercall page is Xen’s', async () => {
    const { stop } = run(await engine.load());
    expect(stop).toMatchObject({ kind: 'hypercall', via: 'hypercall-page', number: 18 });
    expect(
      stop.observations.map(({ rule, count, first, instead }) => [rule, count, first.address, instead?.by]),
    ).toEqual([
      ['cli', 1, 0xc010000c, INSTEAD.cli?.by],
      ['mov-from-cr', 1, 0xc010000d, INSTEAD['mov-from-cr']?.by],
      ['clts', 1, 0xc0100010, INSTEAD.clts?.by],
      ['sti', 3, 0xc0100017, INSTEAD.sti?.by],
    ]);
  });

  it('are the same without counting each block', async () => {
    const { stop } = run(await engine.load(), { instructions: Number.POSITIVE_INFINITY, count: 'never' });
    expect(stop.observations.map(({ rule }) => rule)).toEqual(['cli', 'mov-from-cr', 'clts', 'sti']);
  });

  it('end the run with --stop-on sensitive, at the first', async () => {
    const { stop, json } = run(await engine.load(), { stopOn: 'sensitive' });
    expect(stop).toMatchObject({ kind: 'sensitive', rule: 'cli', instructions: 3, instead: INSTEAD.cli });
    expect(stop.exception).toBeUndefined();
    const text = textReport(json);
    expect(text).toContain('violation at startup_32+0xc (0xc010000c): cli runs in ring 0');
    expect(text).toContain('evtchn_upcall_mask = 1');
  });

  it('are in the report, in words and as JSON', async () => {
    const { json } = run(await engine.load());
    const text = textReport(json).replace(/\s+/g, ' ');
    expect(text).toContain('should have gone to the hypervisor');
    expect(text).toContain('3 x sti at startup_32+0x17: ran in ring 0');
    expect(text).toContain('instead: evtchn_upcall_mask = 0.');
    expect(json.observations[0]).toMatchObject({
      rule: 'cli',
      instead: { by: 'evtchn_upcall_mask = 1', citation: expect.stringContaining('xen.h') },
    });
  });
});
