// What the API gives, as far as the work screens use it (src/api/api.md).
export interface Task {
  id: string;
  number: number;
  title: string;
  text?: string;
  repo: string;
  state: string;
  reason: string;
  words: string;
  iteration: number;
  iteration_limit: number;
  created_at: string;
  changed_at: string;
  started_at: string | null;
  ended_at: string | null;
  worked_s: number;
  branch: string;
  commit: string;
  applied: boolean;
  limits: { iterations: number; time_s: number; tokens: number; money: string; currency: string };
  model?: { name: string; url: string; wire: string };
  checks?: { name: string; command: string; required?: boolean; origin?: string }[];
  last_event?: number;
  cost?: { total: string; currency: string };
  agent?: string;
  agent_version?: string;
  kind?: string;
  undone?: boolean;
}
export interface Spent {
  settled: string;
  held: string;
  total: string;
  currency: string;
  requests: number;
  kept: number;
  input: number;
  cache_read: number;
  cache_write: number;
  output: number;
  reasoning: number;
  unpriced: number;
}
export interface Approval {
  id: string;
  task: string;
  gate: string;
  subject: string;
  state: string;
  outcome: string;
  answer: string;
  created_at: string;
  answered_at?: string;
  answered_by?: string;
}
