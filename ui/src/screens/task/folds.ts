// Which steps of a log are folded, and what line stands in which row. A step is a command, a call of a tool or a check;
// its title is its first line, which stays. What is folded is remembered in this browser, for each task.
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../../api';
import { stored } from '../../cell';
import type { Schemas } from '../../types';

export type LogStep = Schemas['LogStep'];
type StepsPage = Schemas['TaskLogSteps'];
const page = 5000; // steps of one request
const most = 50_000; // of a log that folds; more are read open, or an iteration at a time
const again = 200; // the newest ones, whose end may come late

/* ---- rows ---- */

// Rows and lines count from 1; a line that is folded away has its step's row.
export interface Rows {
  total: number;
  lineOf(row: number): number;
  rowOf(line: number): number;
}
export function rowsOf(first: number, last: number, folded: LogStep[]): Rows {
  const heads: number[] = []; // rows of folded steps
  const lines: number[] = []; // and their first lines
  const hidden: number[] = [0]; // lines folded away before the i-th
  for (const step of folded) {
    if (step.line < first || step.line > last) continue;
    const before = hidden[hidden.length - 1]!;
    heads.push(step.line - first + 1 - before);
    lines.push(step.line);
    hidden.push(before + Math.min(step.lines - 1, last - step.line));
  }
  // How many of them are below `value`.
  const below = (list: number[], value: number) => {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (list[mid]! < value) low = mid + 1;
      else high = mid;
    }
    return low;
  };
  return {
    total: Math.max(0, last - first + 1 - hidden[hidden.length - 1]!),
    lineOf: (row) => first - 1 + row + hidden[below(heads, row)]!,
    rowOf: (line) => {
      const at = below(lines, line + 1); // steps that begin at this line or before it
      if (!at) return line - first + 1;
      const inside = hidden[at]! - hidden[at - 1]!;
      return line <= lines[at - 1]! + inside ? heads[at - 1]! : line - first + 1 - hidden[at]!;
    },
  };
}

/* ---- steps ---- */

export interface Steps {
  list: LogStep[];
  ready: boolean;
  tooMany: number; // how many there are when they are not folded
}
// The steps of a log; fetched again from the newest ones on when the log has grown.
export function useSteps(task: string, iteration: number | null, total: number, complete: boolean): Steps {
  const [steps, setSteps] = useState<Steps & { key: string }>({ key: '', list: [], ready: false, tooMany: 0 });
  const key = `${task} ${iteration}`;
  const busy = useRef('');
  useEffect(() => {
    const mine = `${key} ${total} ${complete}`;
    busy.current = mine;
    const load = async () => {
      const old = steps.key === key ? steps.list : [];
      const late = old.findIndex((step, i) => i >= old.length - again && !step.ended);
      let list = late >= 0 ? old.slice(0, late) : old.slice(0, Math.max(0, old.length - 1));
      for (let next: number | null = list.length; next !== null; ) {
        const answer: StepsPage = await get<StepsPage>(`tasks/${task}/log/steps`, { from: next, count: page, iteration });
        if (busy.current !== mine) return;
        if (answer.total > most) {
          setSteps({ key, list: [], ready: true, tooMany: answer.total });
          return;
        }
        list = [...list, ...answer.steps];
        next = answer.next;
      }
      setSteps({ key, list, ready: true, tooMany: 0 });
    };
    // Without them the log is read as it is.
    load().catch(() => setSteps((old) => (old.key === key ? old : { key, list: [], ready: true, tooMany: 0 })));
  }, [key, total, complete]);
  return steps.key === key ? steps : { list: [], ready: false, tooMany: 0 };
}
// The step that a line belongs to.
export function stepOf(steps: LogStep[], line: number): LogStep | null {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (steps[mid]!.line <= line) low = mid + 1;
    else high = mid;
  }
  const step = steps[low - 1];
  return step && line < step.line + step.lines ? step : null;
}

/* ---- what is folded ---- */

export type FoldRule = 'passed' | 'all' | 'none';
export const foldRule = stored<FoldRule>('log-fold', 'passed');
interface Kept {
  at: number;
  open: number[];
  shut: number[];
}
export const foldsKept = stored<string>('log-folds', '{}');
const tasksKept = 40;
const linesKept = 400;

const all = (): Record<string, Kept> => {
  try {
    const value: unknown = JSON.parse(foldsKept.value);
    return value && typeof value === 'object' ? (value as Record<string, Kept>) : {};
  } catch {
    return {};
  }
};
const numbers = (list: unknown): number[] => (Array.isArray(list) ? list.filter((one): one is number => Number.isSafeInteger(one)) : []);
export function foldsOf(task: string): { open: Set<number>; shut: Set<number> } {
  const kept = all()[task];
  return { open: new Set(numbers(kept?.open)), shut: new Set(numbers(kept?.shut)) };
}
// folded null: as the rule says again, for all of this task.
export function foldSet(task: string, line: number, folded: boolean | null): void {
  const tasks = all();
  const { open, shut } = foldsOf(task);
  if (folded === null) delete tasks[task];
  else {
    open.delete(line);
    shut.delete(line);
    (folded ? shut : open).add(line);
    tasks[task] = { at: Date.now(), open: [...open].slice(-linesKept), shut: [...shut].slice(-linesKept) };
  }
  const newest = Object.entries(tasks)
    .sort(([, a], [, b]) => b.at - a.at)
    .slice(0, tasksKept);
  foldsKept.set(JSON.stringify(Object.fromEntries(newest)));
}
// seen: steps that were read while they ran stay as they are when they end.
export function isFolded(step: LogStep, rule: FoldRule, folds: { open: Set<number>; shut: Set<number> }, seen: Set<number>): boolean {
  if (step.lines < 2 || folds.open.has(step.line)) return false;
  if (folds.shut.has(step.line) || rule === 'all') return true;
  return rule === 'passed' && step.ended && !step.failed && !seen.has(step.line);
}
