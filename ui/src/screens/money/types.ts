// What the money routes answer.
export interface Group {
  [by: string]: unknown;
  requests: number;
  unpriced: number;
  input: number;
  cache_read: number;
  cache_write: number;
  output: number;
  cost: string;
  currency: string;
  cost_primary: string | null;
  primary: string;
}
export interface Groups {
  by: string;
  zone: string;
  groups: Group[];
  next: number | null;
}
export interface LedgerRow {
  number: number;
  time: string;
  request: string;
  attempt: number;
  project: string | null;
  task: string | null;
  agent: string | null;
  model: string;
  key: string | null;
  user: string | null;
  provider: string;
  model_served: string;
  input: number;
  cache_read: number;
  cache_write: number;
  cache_write_1h: number;
  output: number;
  cost: string | null;
  currency: string;
}
export interface Budget {
  id: number;
  scope: string;
  scope_id: string;
  window: string;
  zone: string;
  currency: string | null;
  money: string | null;
  spent: string | null;
  held: string | null;
  tokens: number | null;
  spent_tokens: number;
  held_tokens: number;
  hard: boolean;
  soft_percent: number;
  pause: boolean;
  keep_unused: boolean;
  window_end: string | null;
}
export interface AgentRecord {
  agent: string;
  version: string | null;
  model: string | null;
  kind: string | null;
  runs: number;
  done: number;
  unproven: number;
  failed: number;
  stopped: number;
  limited: number;
  open: number;
  undone: number;
  ended: number;
  worked_median_ns: number;
  iterations_median: number;
  requests: number;
  unpriced: number;
  kept: number;
  share_done: string | null;
  few: boolean;
  costs: { currency: string; tasks: number; total: string; median: string; per_done: string | null }[];
}
export const scopeWords: Record<string, string> = {
  all: 'Everything',
  organisation: 'Organisation',
  project: 'Project',
  task: 'Task',
  agent: 'Agent',
  model: 'Model',
  key: 'Key',
  user: 'User',
};
export const windowWords: Record<string, string> = { total: 'in all', day: 'a day', week: 'a week', two_weeks: 'every two weeks', month: 'a month' };
// A folder by its last name; the whole path is in the title.
export const projectName = (path: string): string => path.replace(/\/+$/, '').split('/').pop() || path;
