// Requests to the daemon: JSON both ways, errors as problem documents (RFC 9457), optimistic locking by ETag,
// idempotency keys on creation. An answer of 401 leads to the login, wherever it comes from.
import { cell } from './cell';

export class Problem extends Error {
  readonly status: number;
  readonly detail: string;
  readonly hint: string;
  readonly code: string;
  constructor(status: number, title: string, more: { detail?: string; hint?: string; code?: string } = {}) {
    super(title);
    this.name = 'Problem';
    this.status = status;
    this.detail = more.detail ?? '';
    this.hint = more.hint ?? '';
    this.code = more.code ?? '';
  }
  // As people read it: the sentence, and what to do.
  get words(): string {
    const sentence = this.message.charAt(0).toUpperCase() + this.message.slice(1);
    return this.hint ? `${sentence}: ${this.hint}` : sentence;
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>;
export interface RequestOptions {
  query?: Query | undefined;
  body?: unknown;
  ifMatch?: string | undefined; // ETag that the change is made against: 412 when somebody was faster
  ifNoneMatch?: string | undefined;
  key?: string | undefined; // Idempotency-Key: the same key creates once, however often it is sent
  signal?: AbortSignal | undefined;
}
export interface Answer<T> {
  data: T;
  status: number;
  etag: string;
  headers: Headers;
}

// Counts the answers that said "who asks is not known"; session.ts watches it.
export const signedOut = cell(0);

export function address(path: string, query?: Query): string {
  const full = path.startsWith('/') ? path : `/api/v1/${path}`;
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value));
  const text = search.toString();
  return text ? `${full}?${text}` : full;
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const said = (await answer.json()) as { title?: string; detail?: string; hint?: string; code?: string };
    return new Problem(answer.status, said.title ?? answer.statusText, said);
  } catch {
    return new Problem(answer.status, answer.statusText || `the server answered ${answer.status}`);
  }
}

export async function send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json', 'X-Nightmill': '1' };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  if (options.ifMatch) headers['If-Match'] = options.ifMatch;
  if (options.ifNoneMatch) headers['If-None-Match'] = options.ifNoneMatch;
  if (options.key) headers['Idempotency-Key'] = options.key;
  let answer: Response;
  try {
    answer = await fetch(address(path, options.query), {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
      credentials: 'same-origin',
      cache: 'no-store',
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Problem(0, 'the server does not answer', { hint: 'it may be starting; this page tries again by itself' });
  }
  if (answer.status === 401) signedOut.set(signedOut.value + 1);
  if (!answer.ok && answer.status !== 304) throw await problemOf(answer);
  return answer;
}

export async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<Answer<T>> {
  const answer = await send(method, path, options);
  const text = answer.status === 204 || answer.status === 304 ? '' : await answer.text();
  return {
    data: (text ? JSON.parse(text) : undefined) as T,
    status: answer.status,
    etag: answer.headers.get('ETag') ?? '',
    headers: answer.headers,
  };
}

type Changing = Omit<RequestOptions, 'body'>;
export const get = async <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> =>
  (await request<T>('GET', path, { query, signal })).data;
export const post = async <T>(path: string, body?: unknown, options: Changing = {}): Promise<T> =>
  (await request<T>('POST', path, { ...options, body: body ?? {} })).data;
export const put = async <T>(path: string, body: unknown, options: Changing = {}): Promise<T> =>
  (await request<T>('PUT', path, { ...options, body })).data;
export const del = async <T>(path: string, options: Changing = {}): Promise<T> =>
  (await request<T>('DELETE', path, options)).data;

// A change is made to what was read, or not at all: If-Match of a thing's version.
export const asRead = (thing: { version: string }): { ifMatch: string } => ({ ifMatch: `"${thing.version}"` });

// A fresh idempotency key: one for each press of a button that creates something.
export const freshKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
