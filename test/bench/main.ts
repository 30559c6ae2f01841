/**
 * `npm run bench`: prints JSON on stdout and a table on stderr. What the numbers should reach is in the rows; nothing
 * fails when they do not.
 */
import { cpus } from 'node:os';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { coldRows, payloadRows } from './cold.ts';
import { firstTrapRow } from './first-trap.ts';
import { ownImage, ownImages, realImage } from './images.ts';
import type { Row } from './measure.ts';
import { speedRows } from './speed.ts';

const notes: string[] = [];
const rows: Row[] = [];

const native = ownImage('native');
const memtest = realImage('memtest86+ ia32', notes);
const debian = realImage('debian kernel', notes);
const grub = realImage('grub-i386-xen', notes);

const libraries: UnicornLibrary[] = [];
for (const engine of ['libunicorn', 'unicorn.js'] as const) {
  try {
    libraries.push(await loadUnicorn({ engine }));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    notes.push(`no rows for ${engine}: ${error.message}`);
  }
}

// First: a child's peak RSS counts what this process has when it starts it.
for (const library of libraries) {
  progress(`${library.name} ${library.version}: cold start`);
  rows.push(...(await coldRows(library.name, native, 'lguest')));
  if (debian) {
    rows.push(...(await coldRows(library.name, debian, 'lguest')));
    rows.push(...(await payloadRows(library.name, debian, 'lguest')));
  }
}

for (const library of libraries) {
  progress(`${library.name} ${library.version}: first trap`);
  for (const { measured, expected } of ownImages()) {
    const options = {
      ...expected.knobs,
      ...(expected.cmdline !== undefined && { cmdline: expected.cmdline }),
    };
    rows.push(await firstTrapRow(library, measured, expected.as, options));
  }
  if (memtest) rows.push(await firstTrapRow(library, memtest, 'contract', { ring: 1 }));
  if (debian) rows.push(await firstTrapRow(library, debian, 'lguest'));
  if (grub) rows.push(await firstTrapRow(library, grub, 'xen'));

  progress(`${library.name} ${library.version}: instructions per second`);
  if (memtest) rows.push(...(await speedRows(library, memtest, { cmdline: '', decompressor: false }, notes)));
  if (debian)
    rows.push(
      ...(await speedRows(library, debian, { cmdline: 'console=ttyS0 nokaslr', decompressor: true }, notes)),
    );
}

const report = {
  schema: 'startup32/bench@1',
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cpus: cpus().length,
  engines: libraries.map(({ name, version }) => ({ name, version })),
  images: [native, memtest, debian, grub].flatMap(measured =>
    measured ? [{ label: measured.label, source: measured.source, sha256: measured.image.sha256 }] : [],
  ),
  rows,
  notes,
};
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
process.stderr.write(`\n${table(rows)}\n${notes.map(note => `note: ${note}\n`).join('')}`);

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function table(all: readonly Row[]): string {
  const lines = [
    ['group', 'engine', 'image', 'what', 'median', 'x bare', 'reach'],
    ...all.map(row => [
      row.group,
      row.engine,
      row.image,
      row.what,
      row.unit === 'instructions/s'
        ? `${(row.value / 1e6).toFixed(1)} M instr/s`
        : `${row.value.toFixed(1)} ${row.unit}`,
      row.ratioToBare?.toFixed(2) ?? '',
      row.reach === undefined ? '' : `<= ${row.reach}`,
    ]),
  ];
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0))) ?? [];
  return lines
    .map(line =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
