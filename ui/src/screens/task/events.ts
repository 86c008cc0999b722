// The events of a task, fetched in pages as JSON lines, and kept up to date by the stream: each once, in order, without
// gaps. When the stream has skipped some, what is missing is fetched.
import { useEffect, useRef, useState } from 'preact/hooks';
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

// Events from `first` to `last` (null: to the end, and then live), at most `most` of them.
export function useEvents(task: string, first: number, last: number | null, most: number): { events: TaskEvent[]; loading: boolean; error: Problem | null; cut: boolean } {
  const [state, setState] = useState<{ key: string; events: TaskEvent[]; loading: boolean; error: Problem | null; cut: boolean }>({ key: '', events: [], loading: true, error: null, cut: false });
  const key = `${task} ${first} ${last} ${most}`;
  const reach = useRef(0); // the last number that we have
  const busy = useRef(false);
  const again = useRef(false);
  const current = useRef(key);
  current.current = key;

  const fetchMore = async () => {
    if (busy.current) {
      again.current = true;
      return;
    }
    busy.current = true;
    const mine = key;
    try {
      let full = false;
      for (;;) {
        if (current.current !== mine) return;
        const page = await fetchEvents(task, reach.current, 500);
        const fresh = page.filter((event) => event.number > reach.current && (last === null || event.number <= last));
        if (current.current !== mine) return;
        reach.current = page.at(-1)?.number ?? reach.current;
        setState((old) => {
          const events = [...(old.key === mine ? old.events : []), ...fresh];
          full = events.length >= most;
          return { key: mine, events: events.slice(0, most), loading: false, error: null, cut: full && (page.length === 500 || events.length > most) };
        });
        if (page.length < 500 || full || (last !== null && reach.current >= last)) break;
      }
    } catch (error) {
      if (current.current === mine) setState((old) => ({ ...old, key: mine, loading: false, error: error as Problem }));
    } finally {
      busy.current = false;
      if (again.current) {
        again.current = false;
        void fetchMore();
      }
    }
  };

  useEffect(() => {
    reach.current = Math.max(0, first - 1);
    setState({ key, events: [], loading: true, error: null, cut: false });
    void fetchMore();
  }, [key]);

  useLive(
    last === null ? [`task:${task}`] : [],
    (event) => {
      if (event.number === undefined || event.number <= reach.current) return;
      if (event.number > reach.current + 1 || busy.current) {
        void fetchMore();
        return;
      }
      reach.current = event.number;
      const one: TaskEvent = { number: event.number, time: event.time, type: event.type, actor: event.actor ?? '', data: event.data };
      setState((old) => (old.key === key && old.events.length < most ? { ...old, events: [...old.events, one] } : old));
    },
    () => void fetchMore(),
    () => void fetchMore(),
  );
  return state.key === key ? state : { events: [], loading: true, error: null, cut: false };
}
