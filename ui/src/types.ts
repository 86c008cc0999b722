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
  outcome: string;
  answer: string | null;
  answered_by: string | null;
  asked_at: string;
  answered_at: string | null;
  expires_at: string | null;
}
export interface Iteration {
  iteration: number;
  outcome: string | null;
  words: string;
  started_at: string;
  ended_at: string | null;
  ms: number;
  commit: string | null;
  files: number;
  added: number;
  removed: number;
  checks_passed: number;
  checks_failed: number;
  tests_passed: number;
  tests_failed: number;
  cost: string | null;
  currency: string;
  requests: number;
  same_failure: number;
  feedback?: string;
  first_event: number;
  last_event: number;
  log_line: number;
}
export interface TaskEvent {
  number: number;
  time: string;
  type: string;
  actor: string;
  data: Record<string, unknown>;
}
export interface TaskShown extends Task {
  spent: Spent;
  approvals: Approval[];
  spec: Record<string, unknown>;
}
export interface LogLine {
  n: number;
  text: string;
  iteration: number;
  kind: string;
  cut?: number;
}
export interface LogSection {
  line: number;
  lines: number;
  time: string;
  event: number;
  iteration: number;
  kind: string;
  title: string;
  failed: boolean;
}
export interface LogWindow {
  total: number;
  from: number;
  complete: boolean;
  iteration_range: { from: number; to: number } | null;
  lines: LogLine[];
  sections: LogSection[];
}
