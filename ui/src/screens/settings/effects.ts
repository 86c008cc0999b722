// One sentence for what a value does, in the words of what happens. Settings without one of their own say what they are and
// when they hold.
import { moneyText } from '../../parts';
import { fromPico, toPico } from '../money/amount';
import type { AgentRecord } from '../money/types';
import type { Setting } from './types';
import { numberOf, readable } from './values';

export interface Known {
  value: (name: string) => string; // of another setting
  records: AgentRecord[]; // by kind of task
}

// What an iteration of this kind of task has cost here, in each currency by itself; empty: nothing was measured.
function perIteration(kind: string, records: AgentRecord[]): { cost: bigint; currency: string }[] {
  const of = records.filter((one) => one.kind === kind && one.ended > 0 && one.iterations_median > 0);
  const iterations = of.reduce((sum, one) => sum + one.ended * one.iterations_median, 0);
  const totals = new Map<string, bigint>();
  for (const cost of of.flatMap((one) => one.costs)) totals.set(cost.currency, (totals.get(cost.currency) ?? 0n) + toPico(cost.total));
  return iterations ? [...totals].filter(([, total]) => total > 0n).map(([currency, total]) => ({ cost: total / BigInt(Math.round(iterations)), currency })) : [];
}
const costWords = (costs: { cost: bigint; currency: string }[], times = 1): string => costs.map((one) => `${moneyText(fromPico(one.cost * BigInt(times)))} ${one.currency}`).join(' and ');

const count = (n: number, one: string) => `${n} ${n === 1 ? one : `${one}s`}`;
const none = (text: string) => numberOf('number', text) === 0;

const own: Record<string, (text: string, setting: Setting, known: Known) => string> = {
  'tasks.parallel': (text, _s, known) => {
    const n = Number(text);
    const memory = numberOf('size', known.value('sandbox.memory'));
    return `${count(n, 'task')} at the same time, others wait in the queue${memory ? `; their sandboxes may take up to ${Math.round((n * memory) / 1024 ** 3)} GiB of memory together` : ''}.`;
  },
  'limits.turns': (text) => `The model is asked at most ${count(Number(text), 'time')} in one iteration; then the checks decide.`,
  'limits.time': (text, s) => (none(text) ? 'A task may work as long as its iterations last.' : `A task pauses after ${readable(s, text)} of work, and waits for you.`),
  'limits.tokens': (text, s) => (none(text) ? 'Tokens of a task are not limited.' : `A task pauses before it uses more than ${readable(s, text)}.`),
  'limits.money': (text) => (none(text) ? 'A task has no limit of money of its own; budgets hold all the same.' : `A task pauses before the request that would take it above ${moneyText(text)}.`),
  'stuck.same_failure': (text) => `The same failure ${count(Number(text), 'time')} in a row, and the task asks you instead of going on.`,
  'stuck.no_change': (text) => `${count(Number(text), 'iteration')} without any change, and the task asks you.`,
  'sandbox.memory': (text, s, known) => `A sandbox that needs more than ${readable(s, text)} is ended; ${count(Number(known.value('tasks.parallel')) || 1, 'task')} may run at the same time.`,
  'log.retention': (text, s) => `Outputs and workspaces of finished tasks are removed after ${readable(s, text)}; events and bills stay for good.`,
  'approval.expires': (text, s) => `A question that nobody answers within ${readable(s, text)} expires: the task pauses, and that never counts as consent.`,
  'agent.approval': (text) => ({ full: 'Agents do anything within their sandbox without asking.', edits: 'Agents edit files without asking; for commands they ask you.', ask: 'Agents ask you before each step.' })[text] ?? '',
  'egress.unknown': (text) => (text === 'ask' ? 'A request to an unknown host waits while you are asked.' : 'A request to an unknown host is refused at once and told to the agent.'),
  'limits.adaptive': (text) => (text === 'true' ? 'The limit follows what the task asks for: simple, medium or complex.' : 'Every task has the limit of a medium one.'),
};
for (const kind of ['simple', 'medium', 'complex'])
  own[`limits.iterations_${kind}`] = (text, _s, known) => {
    const n = Number(text);
    const cost = perIteration(kind, known.records);
    const money = cost.length && Number.isSafeInteger(n) ? ` Tasks like that have cost ${costWords(cost)} an iteration here: up to ${costWords(cost, n)}.` : '';
    return `A ${kind} task pauses after ${count(n, 'iteration')} that did not pass.${money}`;
  };

const holds: Record<string, string> = { 'at once': 'Holds at once.', 'next task': 'Holds from the next task on.', 'daemon start': 'Holds after the next start of the daemon.' };
export function effectOf(setting: Setting, text: string, known: Known): string {
  const said = own[setting.name]?.(text, setting, known);
  const when = holds[setting.applies] ?? '';
  if (said) return `${said} ${when}`;
  const scale = ['duration', 'size'].includes(setting.type) && numberOf(setting.type, text) ? `${readable(setting, text).replace(/^./, (c) => c.toUpperCase())}. ` : '';
  return scale + when;
}
