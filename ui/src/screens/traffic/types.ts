// What the routes of requests and traffic answer.
export interface Attempt {
  provider: string | null;
  model: string | null;
  status: number;
  code: string;
  first_byte_ms: number;
  ms: number;
  words?: string;
}
export interface KeptBody {
  text?: string;
  base64?: string;
  cut: boolean;
}
export interface ModelRequest {
  number: number;
  id: string;
  time: string;
  organisation: string;
  project: string;
  task: string;
  agent: string;
  key: string;
  user: string;
  dialect: string;
  endpoint: string;
  model: string;
  client: string;
  stream: boolean;
  state: string;
  status: number;
  outcome: string;
  provider: string;
  model_served: string;
  usage: { input: number; cache_read: number; cache_write: number; cache_write_1h: number; output: number; reasoning: number } | null;
  cost: string | null;
  currency: string | null;
  cache_hit: boolean;
  first_byte_ms: number | null;
  ms: number | null;
  words: string;
  attempts: Attempt[];
  request_bytes: number;
  answer_bytes: number;
  request_body: string;
  answer_body: string;
  request?: KeptBody | null;
  answer?: KeptBody | null;
}
export interface Exchange {
  number: number;
  time: string;
  task: string;
  project: string;
  agent: string;
  phase: string;
  host: string;
  port: number;
  scheme: string;
  method: string;
  path: string;
  verdict: string;
  reason: string;
  address: string;
  status: number;
  bytes_up: number;
  bytes_down: number;
  first_byte_ms: number | null;
  ms: number;
  request_head?: string | null;
  answer_head?: string | null;
  request_body?: string | null;
  answer_body?: string | null;
  cut?: boolean;
}
export interface EgressHost {
  project: string;
  host: string;
  port: number;
  verdict: string;
  said_by: string;
  said_at: string | null;
}
