// What happens on the server, as it happens. Two ways to use it:
// useData: a snapshot that is fetched anew when an event says that it has changed. Right for nearly everything.
// useLive: the events themselves, each once and in order, for what grows (logs, stories).
// While there is no stream (the server restarts, a proxy refuses WebSockets) snapshots are fetched every few seconds.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Problem, address, request, signedOut, type Query } from './api';
import { cell } from './cell';
import { Line, type LineNews, type LineState, type LiveEvent, type Viewer } from './live/line';
import type { TabWord } from './live/worker';
import workerUrl from './live/worker?sharedworker&url';
import { scriptUrl } from './trusted';

export type { LiveEvent, Viewer };
export interface LiveStatus {
  state: LineState;
  build: string; // of the server that we speak to
  client: string; // our name among the viewers
  lastAt: number; // when something came last, milliseconds; 0: never
}
export const liveStatus = cell<LiveStatus>({ state: 'connecting', build: '', client: '', lastAt: 0 });
export const viewers = cell<Viewer[]>([]);

interface Listener {
  topics: string[];
  event: (event: LiveEvent) => void;
  resync: () => void;
  ready: (() => void) | null;
}
const listeners = new Set<Listener>();
const wanted = new Map<string, number>(); // topic: how many listeners

let speak: ((word: TabWord) => void) | null = null;

function hear(news: LineNews): void {
  if (news.kind === 'state') {
    liveStatus.set({ state: news.state, build: news.build, client: news.client, lastAt: news.lastAt });
  } else if (news.kind === 'event') {
    if (liveStatus.value.state === 'open') liveStatus.set({ ...liveStatus.value, lastAt: Date.now() });
    const { event } = news;
    for (const listener of [...listeners])
      if (listener.topics.includes(event.topic) || event.also?.some((topic) => listener.topics.includes(topic))) listener.event(event);
  } else if (news.kind === 'resync') {
    for (const listener of [...listeners]) if (listener.topics.some((topic) => news.topics.includes(topic))) listener.resync();
  } else if (news.kind === 'subscribed') {
    for (const listener of [...listeners])
      if (listener.ready && listener.topics.every((topic) => news.topics.includes(topic))) {
        const ready = listener.ready;
        listener.ready = null;
        ready();
      }
  } else if (news.kind === 'viewers') viewers.set(news.viewers);
  else signedOut.set(signedOut.value + 1);
}

function direct(): (word: TabWord) => void {
  const line = new Line(location.origin.replace(/^http/, 'ws') + '/api/v1/stream', hear);
  return (word) => {
    if (word.do === 'want') line.want(word.topics);
    else if (word.do === 'leave') line.leave(word.topics);
    else if (word.do === 'presence') line.presence(word.at);
    else if (word.do === 'hurry') line.hurry();
  };
}

function shared(): (word: TabWord) => void {
  const worker = new SharedWorker(scriptUrl(workerUrl), { type: 'module', name: 'nightmill stream' });
  worker.port.onmessage = (message: MessageEvent<LineNews>) => hear(message.data);
  worker.onerror = () => {
    speak = direct();
    if (wanted.size) speak({ do: 'want', topics: [...wanted.keys()] });
  };
  worker.port.start();
  const say = (word: TabWord) => worker.port.postMessage(word);
  setInterval(() => say({ do: 'alive' }), 30_000);
  window.addEventListener('pagehide', () => say({ do: 'bye' }));
  window.addEventListener('pageshow', (event) => {
    if (event.persisted && wanted.size) say({ do: 'want', topics: [...wanted.keys()] });
  });
  return say;
}

function line(): (word: TabWord) => void {
  if (speak) return speak;
  try {
    speak = typeof SharedWorker === 'function' ? shared() : direct();
  } catch {
    speak = direct();
  }
  window.addEventListener('online', () => speak?.({ do: 'hurry' }));
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) speak?.({ do: 'hurry' });
  });
  return speak;
}

export function subscribe(listener: Listener): () => void {
  listeners.add(listener);
  for (const topic of listener.topics) wanted.set(topic, (wanted.get(topic) ?? 0) + 1);
  line()({ do: 'want', topics: listener.topics });
  return () => {
    listeners.delete(listener);
    const gone: string[] = [];
    for (const topic of listener.topics) {
      const left = (wanted.get(topic) ?? 1) - 1;
      if (left > 0) wanted.set(topic, left);
      else {
        wanted.delete(topic);
        gone.push(topic);
      }
    }
    if (gone.length) line()({ do: 'leave', topics: gone });
  };
}

// Tells the others where this person is: "task:ID", or "" for nowhere in particular.
export const present = (at: string): void => line()({ do: 'presence', at });
export const hurry = (): void => line()({ do: 'hurry' });

export function useLive(topics: string[], event: (event: LiveEvent) => void, resync: () => void, ready?: () => void): void {
  const now = useRef({ event, resync, ready });
  now.current = { event, resync, ready };
  const key = topics.join(' ');
  useEffect(
    () =>
      key
        ? subscribe({
            topics: key.split(' '),
            event: (one) => now.current.event(one),
            resync: () => now.current.resync(),
            ready: () => now.current.ready?.(),
          })
        : undefined,
    [key],
  );
}

export interface Data<T> {
  data: T | undefined;
  etag: string;
  error: Problem | null;
  loading: boolean; // the first time; later fetches leave the old data where it is
  reload: () => void;
}
export interface DataOptions {
  topics?: string[];
  when?: (event: LiveEvent) => boolean; // whether this event changes what was fetched; left out: every one does
  query?: Query;
  off?: boolean; // do not fetch (yet)
}

const calm = 250; // milliseconds between an event and the fetch: a burst of events is one fetch
const settle = 1_000; // after a subscription: what happened between the first fetch and it, when the page is painted
const poll = 5_000; // while there is no stream
const patience = 10_000; // for an answer, when there is a reason to ask again

export function useData<T>(path: string, options: DataOptions = {}): Data<T> {
  const url = address(path, options.query);
  const [state, setState] = useState<{ url: string; data: T | undefined; etag: string; error: Problem | null }>({
    url,
    data: undefined,
    etag: '',
    error: null,
  });
  const now = useRef({ options, etag: '', url: '' });
  now.current.options = options;
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const running = useRef<{ control: AbortController; since: number; again: (() => void) | null } | null>(null);

  const fetchNow = useCallback(async () => {
    running.current?.control.abort();
    const control = new AbortController();
    const mine = { control, since: Date.now(), again: null as (() => void) | null };
    running.current = mine;
    const etag = now.current.url === url ? now.current.etag : '';
    try {
      const answer = await request<T>('GET', url, { signal: control.signal, ifNoneMatch: etag });
      if (control.signal.aborted) return;
      if (answer.status === 304) setState((old) => (old.error ? { ...old, error: null } : old));
      else {
        now.current.etag = answer.etag;
        now.current.url = url;
        setState({ url, data: answer.data, etag: answer.etag, error: null });
      }
    } catch (error) {
      if (control.signal.aborted) return;
      const problem = error instanceof Problem ? error : new Problem(0, String(error));
      // What is shown stays while the server is away; what is gone or forbidden does not.
      setState((old) => ({ ...old, url, data: old.url === url && problem.status === 0 ? old.data : undefined, error: problem }));
    } finally {
      if (running.current === mine) running.current = null;
      if (!control.signal.aborted) mine.again?.();
    }
  }, [url]);

  // What is being fetched is not given up for an event: it is shown, and fetched once more. Unless nothing comes.
  const soon = useCallback((wait: number = calm) => {
    if (timer.current) return;
    timer.current = setTimeout(() => {
      timer.current = null;
      if (running.current && Date.now() - running.current.since < patience) running.current.again = soon;
      else void fetchNow();
    }, wait);
  }, [fetchNow]);

  const off = !!options.off;
  useLayoutEffect(() => {
    // not after the frame is painted: the fetch takes longer than that
    if (!off) void fetchNow();
    return () => {
      running.current?.control.abort();
      if (timer.current) clearTimeout(timer.current);
      timer.current = null;
    };
  }, [fetchNow, off]);

  const topics = off ? [] : (options.topics ?? []);
  useLive(
    topics,
    (event) => {
      const { when } = now.current.options;
      if (!when || when(event)) soon();
    },
    () => soon(),
    () => soon(settle),
  );

  useEffect(() => {
    if (off) return;
    const ticking = setInterval(() => {
      if (liveStatus.value.state !== 'open' && !document.hidden) soon();
    }, poll);
    return () => clearInterval(ticking);
  }, [soon, off]);

  const same = state.url === url;
  return useMemo(
    () => ({
      data: same ? state.data : undefined,
      etag: same ? state.etag : '',
      error: same ? state.error : null,
      loading: !off && (!same || (state.data === undefined && !state.error)),
      reload: () => void fetchNow(),
    }),
    [state, same, off, fetchNow],
  );
}
