/** An option whose value is parsed strictly, and the words that several options take. */
import { Option } from 'commander';
import { UsageError } from '../errors.ts';
import { parseChoice, ValueError } from '../parse.ts';

/** Each word stands for itself. */
export const words = <T extends string>(...names: readonly T[]): Readonly<Record<string, T>> =>
  Object.fromEntries(names.map(name => [name, name]));

/** What cannot be taken is a usage error that names the option. */
export function option<T>(flags: string, description: string, parse: (text: string) => T): Option {
  const definition = new Option(flags, description);
  return definition.argParser(text => withName(definition, () => parse(text)));
}

/** An option that may be given several times: its values in the order in which they were given. */
export function repeatedOption<T>(flags: string, description: string, parse: (text: string) => T): Option {
  const definition = new Option(flags, description);
  return definition.argParser((text, before: readonly T[] | undefined) => [
    ...(before ?? []),
    withName(definition, () => parse(text)),
  ]);
}

function withName<T>(definition: Option, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ValueError)
      throw new UsageError('bad-value', `${definition.long} is ${error.message}`);
    throw error;
  }
}

export const formatOption = (): Option =>
  option('--format <format>', 'text or json', parseChoice(words<'text' | 'json'>('text', 'json'))).default(
    'text',
  );
