/** Makes a directory and those above it (Node only). */

/**
 * Node's own `recursive` never ends under /proc, where a directory cannot be made though the one above it is there.
 *
 * @param mode of each directory that is made
 * @throws what the file system says, e.g. ENOENT, ENOTDIR
 */
export async function makeDirectory(directory: string, mode = 0o777): Promise<void> {
  const [{ mkdir, stat }, { dirname }] = await Promise.all([import('node:fs/promises'), import('node:path')]);
  try {
    await mkdir(directory, { mode });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EEXIST' && (await stat(directory)).isDirectory()) return;
    const parent = dirname(directory);
    if (code !== 'ENOENT' || parent === directory) throw error;
    await makeDirectory(parent, mode);
    // Another process may have made it in between.
    await mkdir(directory, { mode }).catch(async (again: unknown) => {
      if (
        !(await stat(directory).then(
          found => found.isDirectory(),
          () => false,
        ))
      )
        throw again;
    });
  }
}
