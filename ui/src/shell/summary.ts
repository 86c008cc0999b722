// What the strip and the navigation show of everything: how many tasks are at work, how many questions wait, the money of
// today. One fetch for all of them, at most one every 250 ms.
import { cell } from '../cell';
import { get } from '../api';
import { moneySum } from '../parts';
import type { Schemas } from '../types';

export type Stats = Schemas['Stats'];
type Budget = Schemas['Budget'];

export const stats = cell<Stats | null>(null);
export const running = (all: Stats | null): number => (all ? (all.tasks.states['working'] ?? 0) + (all.tasks.states['checking'] ?? 0) : 0);

// The limit of everything, if there is one: that of a day, else of the longest window.
export interface Cap {
  window: string;
  money: string;
  used: string;
  currency: string;
}
export const cap = cell<Cap | null>(null);

const windows = ['day', 'week', 'two_weeks', 'month', 'total'];

export async function loadStats(): Promise<void> {
  try {
    stats.set(await get<Stats>('stats'));
  } catch {
    return; // the connection line says it
  }
  try {
    const { budgets } = await get<{ budgets: Budget[] }>('budgets', { scope: 'all' });
    const found = budgets.filter((one) => one.money !== null).sort((a, b) => windows.indexOf(a.window) - windows.indexOf(b.window))[0];
    cap.set(found ? { window: found.window, money: found.money!, used: moneySum(found.spent ?? '0', found.held ?? '0'), currency: found.currency ?? '' } : null);
  } catch {
    cap.set(null); // not everybody may see the budgets of everything
  }
}
