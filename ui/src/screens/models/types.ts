// What the routes of providers, models, tiers and prices answer.
export interface Price {
  id: number;
  model: string;
  currency: string;
  source: string;
  from: string;
  input: string;
  cache_read: string;
  cache_write: string;
  cache_write_1h: string;
  output: string;
  above_tokens: number;
}
export interface Provider {
  id: string;
  kind: string;
  title: string;
  url: string;
  dialect: string;
  key: { reference: string | null; known: boolean; problem?: string | null };
  concurrency: number;
  queue: number;
  weight: number;
  enabled: boolean;
  implicit: boolean;
  changed_at: string | null;
}
export interface ProviderKind {
  name: string;
  title: string;
  url: string | null;
  key_variable: string | null;
  dialect: string;
}
export interface Providers {
  providers: Provider[];
  kinds: ProviderKind[];
}
export interface Model {
  id: string;
  provider: string;
  upstream: string;
  context: number;
  max_output: number;
  abilities: string[] | null;
  weight: number;
  available: boolean;
  price: Price | null;
}
export interface Models {
  models: Model[];
  by_name: { prefix: string; provider: string }[];
}
export interface Tier {
  name: string;
  mode: string;
  origin: string;
  models: string[];
}
export interface ProviderTest {
  provider: string;
  url: string;
  latency_ms: number;
  models: string[];
}
export interface ModelTest {
  model: string;
  results: { provider: string; upstream: string; ok: boolean; latency_ms: number; served?: string; problem?: string; hint?: string }[];
  not_tried: number;
}
