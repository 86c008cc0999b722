// What the strip and the navigation show of everything: how many tasks are at work, how many questions wait, the money of
// today. One fetch for all of them, at most one every 250 ms.
import { cell } from '../cell';
import { get, type Problem } from '../api';

export interface Stats {
  tasks: { all: number; active: number; states: Record<string, number> };
  running: number;
  waiting_approvals: number;
  today?: { cost: string; currency: string; requests: number; done: number; limit?: string | null };
}
export const stats = cell<Stats | null>(null);

interface Status {
  tasks: Record<string, number>;
  waiting_approvals: number;
  runners: unknown[];
}

export async function loadStats(): Promise<void> {
  try {
    stats.set(await get<Stats>('stats'));
  } catch (error) {
    if ((error as Problem).status !== 404) return;
    try {
      const status = await get<Status>('status');
      const states = status.tasks;
      const active = ['queued', 'working', 'checking', 'needs_you', 'paused'].reduce((sum, name) => sum + (states[name] ?? 0), 0);
      const all = Object.values(states).reduce((sum, one) => sum + one, 0);
      stats.set({ tasks: { all, active, states }, running: status.runners.length, waiting_approvals: status.waiting_approvals });
    } catch {
      /* the connection line says it */
    }
  }
}
