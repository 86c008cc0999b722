// What the settings and notification routes answer.
export interface Setting {
  name: string;
  group: string;
  type: 'number' | 'bool' | 'text' | 'choice' | 'duration' | 'size' | 'money' | 'path' | 'secret';
  unit: string;
  help: string;
  value: string | null;
  default: string;
  number?: number | null;
  default_number?: number | null;
  least: string | null;
  most: string | null;
  least_number?: number | null;
  most_number?: number | null;
  choices: string[];
  origin: string;
  origin_place: string;
  locked: boolean;
  locked_reason: string | null;
  environment: string;
  set_value: string | null;
  set_by: string | null;
  set_at: string | null;
  version: number;
  applies: string;
  pending: boolean;
  running: string | null;
  secret: boolean;
  is_set: boolean;
}
export interface Settings {
  file: string;
  file_exists: boolean;
  restart_needed: boolean;
  groups: { name: string; title: string }[];
  settings: Setting[];
}
export interface Change {
  id: number;
  name: string;
  from: string | null;
  to: string | null;
  by: string;
  at: string;
  reverts: number | null;
}
export interface Delivery {
  id: number;
  channel: string;
  state: string;
  attempts: number;
  next_at?: string | null;
  sent_at?: string | null;
  status?: number | null;
  words?: string | null;
}
export interface Notice {
  id: number;
  level: string;
  kind: string;
  task?: string | null;
  words: string;
  at: string;
  deliveries: Delivery[];
}
export interface Channel {
  id: string;
  kind: string;
  name: string;
  target: string;
  levels: string[];
  enabled: boolean;
  user: string;
  created_at: string;
  last_ok_at?: string | null;
  failures: number;
  problem?: string | null;
  secret?: string | null;
}
