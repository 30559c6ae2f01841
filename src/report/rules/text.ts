/** The text of `startup32 explain`, rendered from its JSON alone. */
import { count } from '../hex.ts';
import { LABEL_WIDTH, paragraph, TEXT_COLUMNS, wrap } from '../lines.ts';
import { COLOURED, PLAIN, type Style } from '../style.ts';
import type { ExplainReport, HostReport, RuleReport } from './report.ts';

const GAP = 2;
/** A column of words no wider than this; what is longer goes on its own line. */
const WIDEST_COLUMN = 44;

/** Two columns under a label, the second one wrapped. */
function table(
  label: string,
  rows: readonly (readonly [left: string, right: string])[],
  style: Style,
): string[] {
  const width = Math.min(Math.max(...rows.map(([left]) => left.length)), WIDEST_COLUMN) + GAP;
  const lines = rows.flatMap(([left, right]) => {
    const [first = '', ...more] = wrap(right, TEXT_COLUMNS - LABEL_WIDTH - width);
    return [`${left.padEnd(width)}${first}`, ...more.map(line => `${' '.repeat(width)}${line}`)];
  });
  return lines.map((line, i) =>
    i === 0 ? `${style.faint(label.padEnd(LABEL_WIDTH))}${line}` : `${' '.repeat(LABEL_WIDTH)}${line}`,
  );
}

const CLASS_NAMES: Readonly<Record<RuleReport['class'], string>> = {
  privileged: 'privileged',
  'iopl-sensitive': 'IOPL-sensitive',
  silent: 'silent',
};

/** `lguest 2.6.34 to 4.13`, or the host alone. */
const hostName = ({ host, since, until }: HostReport): string =>
  since === undefined || until === undefined ? host : `${host} ${since} to ${until}`;

/** `skip` is no system, and says the same of every rule. */
const isSystem = ({ host }: HostReport): boolean => host !== 'skip';

function ruleText(rule: RuleReport, style: Style): string[] {
  const { id, instruction, forms, conditions, operands, reason, citation, hosts } = rule;
  return [
    `${style.strong(id)}: ${instruction}, ${CLASS_NAMES[rule.class]}`,
    '',
    ...table(
      'forms',
      forms.map(({ opcode, syntax }) => [opcode, syntax]),
      style,
    ),
    ...table(
      'when',
      conditions.map(({ when, effect }) => [when, effect]),
      style,
    ),
    ...(operands === undefined ? [] : paragraph('also', operands, style)),
    ...paragraph('why', `${reason} (${citation})`, style),
    ...hosts
      .filter(isSystem)
      .flatMap((host, index) =>
        paragraph(
          index === 0 ? 'hosts' : '',
          `${hostName(host)}: ${host.does}. ${host.text} (${host.citation})`,
          style,
        ),
      ),
  ];
}

const NO_RULE = 'No rule is about it: it asks for no privilege.';
/** Extensions newer than the rules. */
const PRIVILEGED_NO_RULE =
  'No rule is about it: it does not run at every CPL, but no CPU model here has it, and it is #UD.';

function instructionLines(report: ExplainReport): string[] {
  return (report.instructions ?? []).flatMap(({ bytes, text, missing, rule, privileged }) => [
    `${bytes}  ${text}`,
    ...(missing === 0 ? [] : [`  ${count(missing, 'more byte')} of its operand, taken as 00`]),
    ...(rule === undefined ? [`  ${privileged === true ? PRIVILEGED_NO_RULE : NO_RULE}`] : []),
  ]);
}

/** @param options.color whether to use ANSI styles */
export function explainText(report: ExplainReport, options: { readonly color?: boolean } = {}): string {
  const style = options.color === true ? COLOURED : PLAIN;
  const code = instructionLines(report);
  const sections = [...(code.length === 0 ? [] : [code]), ...report.rules.map(rule => ruleText(rule, style))];
  return `${sections.map(lines => lines.map(line => line.trimEnd()).join('\n')).join('\n\n')}\n`;
}
