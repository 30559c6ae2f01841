/** `startup32 protocols`: the boot protocols and their knobs. */
import { PROTOCOLS } from '../../boot-protocols/index.ts';
import { describeKnobs, type KnobbedProtocol } from '../../boot-protocols/knobs.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, jsonText } from './io.ts';

interface ProtocolListing {
  readonly name: string;
  readonly summary: string;
  readonly page: string;
  readonly knobs: readonly {
    readonly flag: string;
    readonly values: string;
    readonly summary: string;
    readonly default?: string;
  }[];
}

const describe = (protocol: KnobbedProtocol): ProtocolListing => ({
  name: protocol.name,
  summary: protocol.summary,
  page: protocol.page,
  knobs: describeKnobs(protocol).map(({ flag, values, summary, default: value }) => ({
    flag,
    values,
    summary,
    ...(value !== undefined && { default: value }),
  })),
});

export async function protocols(options: { readonly format: 'text' | 'json' }, io: Io): Promise<number> {
  const listings = PROTOCOLS.map(describe);
  io.stdout.write(
    options.format === 'json'
      ? jsonText({ schema: 'startup32/protocols@1', protocols: listings })
      : listings.map(text).join('\n'),
  );
  return EXIT.STOPPED;
}

const FLAG_WIDTH = 26;

function text({ name, summary, page, knobs }: ProtocolListing): string {
  return [
    `${name}: ${summary}`,
    ...knobs.map(knob => {
      const value = knob.default === undefined ? '' : ` (default: ${knob.default})`;
      return `  ${`${knob.flag} ${knob.values}`.padEnd(FLAG_WIDTH)}${knob.summary}${value}`;
    }),
    `  page: docs/${page}`,
    '',
  ].join('\n');
}
