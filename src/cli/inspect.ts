/** `startup32 inspect IMAGE`: what an image says about itself, and who can start it. */
import { PROTOCOLS } from '../../boot-protocols/index.ts';
import { loadImage } from '../load-image.ts';
import { inspectReport } from '../report/inspect/json.ts';
import { inspectText } from '../report/inspect/text.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, jsonText } from './io.ts';

interface InspectFlags {
  readonly format: 'text' | 'json';
  readonly symbols?: string;
}

export async function inspect(path: string, { format, symbols }: InspectFlags, io: Io): Promise<number> {
  const image = await loadImage(path, { ...(symbols !== undefined && { systemMap: symbols }) });
  const result = inspectReport(image, PROTOCOLS);
  io.stdout.write(format === 'json' ? jsonText(result) : inspectText(result));
  return EXIT.STOPPED;
}
