// The events of a task, fetched in pages as JSON lines, and kept up to date by the stream: each once, in order, without
// gaps. When the stream has skipped some, what is missing is fetched.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { send, type Problem } from '../../api';
import { useLive } from '../../live';
import type { TaskEvent } from '../../types';

export async function fetchEvents(task: string, after: number, limit: number, signal?: AbortSignal): Promise<TaskEvent[]> {
  const answer = await send('GET', `tasks/${task}/events`, { query: { after, limit }, signal });
  const text = await answer.text();
  return text
    .split('\n')
    .filter((line) => line.trim())
    .map((line) => JSON.parse(line) as TaskEvent);
}

// What is shown of a long stretch of events: the newest of them, and earlier ones when they are asked for.
export interface Stretch {
  events: TaskEvent[];
  loading: boolean;
  error: Problem | null;
  earlier: number; // how many there are before the first one that is here
  more: () => void; // fetches some of these
}
const page = 500; // events of one fetch
const most = 3000; // while new ones come, the oldest beyond these go

// The newest `window` events from `first` to `end`. live: `end` is only what is known by now, and what comes is added.
export function useEvents(task: string, first: number, end: number, live: boolean, window: number): Stretch {
  const [state, setState] = useState<{ key: string; events: TaskEvent[]; loading: boolean; error: Problem | null }>({ key: '', events: [], loading: true, error: null });
  const key = `${task} ${first} ${live ? 'live' : end}`;
  const from = useRef(first); // the first number that we have, and the last
  const reach = useRef(0);
  const busy = useRef(false);
  const again = useRef(false);
  const current = useRef(key);
  current.current = key;

  const put = (mine: string, join: (old: TaskEvent[]) => TaskEvent[]) =>
    setState((old) => {
      let events = join(old.key === mine ? old.events : []);
      if (live && events.length > most) events = events.slice(-most);
      if (events[0]) from.current = events[0].number;
      return { key: mine, events, loading: false, error: null };
    });
  const fail = (mine: string, error: unknown) => {
    if (current.current === mine) setState((old) => ({ ...old, key: mine, loading: false, error: error as Problem }));
  };

  const fetchMore = async () => {
    if (busy.current) {
      again.current = true;
      return;
    }
    busy.current = true;
    const mine = key;
    try {
      for (;;) {
        const limit = live ? page : Math.min(page, end - reach.current);
        const got = limit > 0 ? await fetchEvents(task, reach.current, limit) : [];
        if (current.current !== mine) return;
        const fresh = got.filter((event) => event.number > reach.current);
        reach.current = got.at(-1)?.number ?? reach.current;
        put(mine, (old) => [...old, ...fresh]);
        if (got.length < page) break;
      }
    } catch (error) {
      fail(mine, error);
    } finally {
      busy.current = false;
      if (again.current) {
        again.current = false;
        void fetchMore();
      }
    }
  };

  const more = async () => {
    const mine = key;
    const before = from.current;
    const start = Math.max(first, before - page);
    try {
      const got = await fetchEvents(task, start - 1, before - start);
      if (current.current === mine && from.current === before) put(mine, (old) => [...got, ...old]);
    } catch (error) {
      fail(mine, error);
    }
  };

  useLayoutEffect(() => {
    from.current = Math.max(1, first, end - window + 1);
    reach.current = from.current - 1;
    setState({ key, events: [], loading: true, error: null });
    void fetchMore();
  }, [key]);

  useLive(
    live ? [`task:${task}`] : [],
    (event) => {
      if (event.number === undefined || event.number <= reach.current) return;
      if (event.number > reach.current + 1 || busy.current) {
        void fetchMore();
        return;
      }
      reach.current = event.number;
      const one: TaskEvent = { number: event.number, time: event.time, type: event.type, actor: event.actor ?? '', data: event.data };
      put(key, (old) => [...old, one]);
    },
    () => void fetchMore(),
    () => void fetchMore(),
  );
  const shown = state.key === key;
  return {
    events: shown ? state.events : [],
    loading: !shown || state.loading,
    error: shown ? state.error : null,
    earlier: shown && state.events[0] ? Math.max(0, state.events[0].number - first) : 0,
    more: () => void more(),
  };
}
