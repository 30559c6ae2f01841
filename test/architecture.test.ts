/** docs/architecture.md, "Who imports whom", held against the source. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

function sources(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map(name => path.join(folder, name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(path.join(root, file), 'utf8');
  const found = text.matchAll(
    /\b(?:import|export)\s+(type\s)?[^;'"]*?from\s+'(\.[^']+)'|\bimport\('(\.[^']+)'\)/g,
  );
  return [...found].map(match => ({
    from: file,
    to: path.join(path.dirname(file), match[2] ?? match[3] ?? ''),
    typeOnly: match[1] !== undefined,
  }));
}

const imports = ['src', 'emulator', 'boot-protocols'].flatMap(sources).flatMap(importsOf);
const violations = (isForbidden: (i: Import) => boolean): string[] =>
  imports.filter(isForbidden).map(i => `${i.from} imports ${i.to}`);
const within = (file: string, folder: string): boolean => file.startsWith(`${folder}/`);

/** Where each package may be imported. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  commander: ['src/cli'],
  elfy: ['src/kernel-image'],
  fflate: ['src/kernel-image/payload/codecs', 'src/wrap'],
  'iced-x86': ['emulator/decode'],
  koffi: ['emulator/unicorn'],
  pino: ['src/cli'],
  zod: ['src/report/schema'],
};
const CODECS = ['src/kernel-image/payload/codecs'];

function packagesOf(file: string): readonly string[] {
  const text = readFileSync(path.join(root, file), 'utf8');
  const found = text.matchAll(/\bfrom\s+'([^'.][^']*)'|\bimport\('([^'.][^']*)'\)/g);
  return [...found].map(match => match[1] ?? match[2] ?? '').filter(name => !name.startsWith('node:'));
}

/** The page that says all this in words. */
const PAGE = readFileSync(path.join(root, 'docs/architecture.md'), 'utf8');
/** What it names in backquotes. */
const NAMED = [...PAGE.matchAll(/`([^`\n]+)`/g)].map(match => match[1] ?? '');

describe('who imports whom', () => {
  it('finds imports to judge', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.some(i => i.from === 'emulator/machine.ts' && i.to === 'emulator/guest.ts')).toBe(true);
  });

  it.each(['emulator', 'src/kernel-image'])('%s imports nothing of ours outside itself', folder => {
    expect(violations(i => within(i.from, folder) && !within(i.to, folder))).toEqual([]);
  });

  it('boot-protocols imports emulator and src/kernel-image only', () => {
    expect(
      violations(
        i =>
          within(i.from, 'boot-protocols') &&
          !['boot-protocols', 'emulator', 'src/kernel-image'].some(folder => within(i.to, folder)),
      ),
    ).toEqual([]);
  });

  it('nothing imports src/cli', () => {
    expect(violations(i => within(i.to, 'src/cli') && !within(i.from, 'src/cli'))).toEqual([]);
  });

  it('only emulator/unicorn knows the two builds', () => {
    const builds = ['emulator/unicorn/unicorn-js.ts', 'emulator/unicorn/libunicorn.ts'];
    expect(violations(i => builds.includes(i.to) && !within(i.from, 'emulator/unicorn'))).toEqual([]);
  });

  it('outside emulator only the loader of engines and types of theirs are used', () => {
    expect(
      violations(
        i =>
          within(i.to, 'emulator/unicorn') &&
          !within(i.from, 'emulator') &&
          !i.typeOnly &&
          !['emulator/unicorn/load.ts', 'emulator/unicorn/errors.ts'].includes(i.to),
      ),
    ).toEqual([]);
  });

  it('each package is imported in one folder, and by no boot protocol', () => {
    const strangers = ['src', 'emulator', 'boot-protocols']
      .flatMap(sources)
      .flatMap(file => packagesOf(file).map(name => ({ file, name })))
      .filter(({ file, name }) => !(PACKAGES[name] ?? CODECS).some(folder => within(file, folder)));
    expect(strangers).toEqual([]);
  });

  it('has no cycles', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to } of imports) edges.set(from, [...(edges.get(from) ?? []), to]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      if (done.has(file) || path.includes(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of edges.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  const files = ['src', 'emulator', 'boot-protocols', 'images', 'test'].flatMap(sources);

  it('names no file that is not there', () => {
    const gone = NAMED.filter(name => /^[\w./-]+\.ts$/.test(name)).filter(
      name => !files.some(file => file === name || file.endsWith(`/${name.replace(/^\.\.\//, '')}`)),
    );
    expect(gone).toEqual([]);
  });

  it('names every folder of the source, and the folder of no protocol', () => {
    const folders = [...new Set(files.map(path.dirname))].filter(
      folder => /^(src|emulator|boot-protocols)\//.test(folder) && !folder.endsWith('/codecs'),
    );
    const isProtocol = (folder: string) => files.includes(`${folder}/protocol.ts`);
    const isPart = (folder: string) => path.dirname(folder) === 'boot-protocols/hosts';
    const missing = folders.filter(
      folder => !NAMED.some(named => named.endsWith('/') && `/${folder}/`.endsWith(`/${named}`)),
    );
    expect(missing.filter(folder => !isProtocol(folder) && !isPart(folder))).toEqual([]);
  });

  it('names every file of emulator/run', () => {
    const own = files.filter(file => path.dirname(file) === 'emulator/run').map(file => path.basename(file));
    expect(own.filter(name => !NAMED.includes(name))).toEqual([]);
  });
});
