// Goes through the journal of a task: what was known at each event. Arrow keys step events, with Shift iterations.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../../api';
import { Button, Cut, Empty, Money, StateMark, Waiting, Wrong, clockTime, durationText, marked } from '../../parts';
import { Link, setQuery } from '../../router';
import type { LogSection, TaskEvent } from '../../types';
import { fetchEvents } from './events';
import type { TabProps } from './Task';

const windowSize = 200; // events of one fetch
const pieces = new Map<string, Promise<TaskEvent[]>>();
function piece(task: string, number: number, fresh: boolean): Promise<TaskEvent[]> {
  const first = Math.floor((number - 1) / windowSize) * windowSize;
  const key = `${task} ${first}`;
  if (fresh) pieces.delete(key);
  let found = pieces.get(key);
  if (!found) {
    found = fetchEvents(task, first, windowSize);
    found.catch(() => pieces.delete(key));
    pieces.set(key, found);
    if (pieces.size > 50) pieces.delete(pieces.keys().next().value!);
  }
  return found;
}
const summary = (event: TaskEvent): string => {
  const { data } = event;
  for (const name of ['words', 'summary', 'text', 'command', 'check', 'name', 'state', 'outcome', 'model']) {
    const value = data[name];
    if (typeof value === 'string' && value) return value;
  }
  const text = JSON.stringify(data);
  return text === '{}' ? '' : text;
};

export function Replay({ task, iteration, iterations, query }: TabProps) {
  const last = task.last_event ?? 0;
  const scope = iterations.find((one) => one.iteration === iteration);
  const low = scope?.first_event ?? 1;
  const high = scope ? (scope.ended_at ? scope.last_event : last) : last;
  const clamp = (n: number) => Math.max(low, Math.min(high, n));
  const [at, setAt] = useState(clamp(Number(query.get('at')) || low));
  const [around, setAround] = useState<TaskEvent[]>([]);
  const [problem, setProblem] = useState<Error | null>(null);
  const [playing, setPlaying] = useState(false);
  const [line, setLine] = useState<LogSection | null>(null);
  const list = useRef<HTMLOListElement>(null);
  const now = clamp(at);

  useEffect(() => {
    let gone = false;
    const from = Math.max(1, now - 12);
    const to = Math.min(last, now + 12);
    Promise.all([...new Set([from, now, to].map((n) => Math.floor((n - 1) / windowSize) * windowSize + 1))].map((n) => piece(task.id, n, n + windowSize > last && !['done', 'failed', 'stopped', 'unproven'].includes(task.state))))
      .then((lists) => {
        if (gone) return;
        setAround(lists.flat().filter((event) => event.number >= from && event.number <= to));
        setProblem(null);
      })
      .catch((error: Error) => {
        if (!gone) setProblem(error);
      });
    return () => {
      gone = true;
    };
  }, [now, task.id, last]);
  useEffect(() => {
    const timer = setTimeout(() => setQuery({ at: String(now) }), 300);
    return () => clearTimeout(timer);
  }, [now]);
  useEffect(() => {
    if (!playing) return;
    const timer = setTimeout(() => (now >= high ? setPlaying(false) : setAt(now + 1)), 250);
    return () => clearTimeout(timer);
  }, [playing, now, high]);
  // Where this instant is in the log.
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(async () => {
      try {
        const { sections } = await get<{ sections: LogSection[] }>(`tasks/${task.id}/log/sections`, { from: 1, count: 5000 });
        if (!gone) setLine(sections.filter((one) => one.event <= now).at(-1) ?? null);
      } catch {
        if (!gone) setLine(null);
      }
    }, 200);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [now, task.id]);

  const current = around.find((event) => event.number === now);
  const during = [...iterations].reverse().find((one) => one.first_event <= now);
  const state = useMemo(() => {
    const said = around.filter((event) => event.type === 'task.state' && event.number <= now).at(-1);
    if (said) return String(said.data['state']);
    if (!during) return 'queued';
    return during.ended_at && now > during.last_event ? task.state : 'working';
  }, [around, now, during, task.state]);
  const bill = around.filter((event) => event.type === 'model.usage' && event.number <= now).at(-1);
  if (!last) return <Empty title="Nothing to replay yet">The journal of this task begins with its first step.</Empty>;

  const go = (to: number) => {
    setPlaying(false);
    setAt(clamp(to));
  };
  const key = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (!by || (event.target as HTMLElement).tagName === 'INPUT' && (event.target as HTMLInputElement).type === 'number') return;
    event.preventDefault();
    if (!event.shiftKey) go(now + by);
    else {
      const starts = iterations.map((one) => one.first_event);
      const to = by > 0 ? starts.find((n) => n > now) : starts.filter((n) => n < now).at(-1);
      if (to) go(to);
    }
  };
  const facts: [string, preact.ComponentChildren][] = [
    ['State', <StateMark state={state} />],
    ['Iteration', during ? <span class="mono">{during.iteration}</span> : <span class="muted">before the first</span>],
    ['Since the start', current && task.started_at ? <span class="mono">{durationText(Math.max(0, Date.parse(current.time) - Date.parse(task.started_at)))}</span> : ''],
    ['Spent by then', bill ? <Money amount={String(bill.data['total'] ?? '')} currency={String(bill.data['currency'] ?? '')} /> : <span class="muted">no request near</span>],
    ['Checks before', during && during.iteration > 1 ? <span class="mono">{iterations.find((one) => one.iteration === during.iteration - 1)?.checks_passed ?? 0} passed</span> : <span class="muted">none ran</span>],
    ['Log', line ? <Link to={`?tab=log&line=${line.line}`}>line {line.line}</Link> : ''],
    ['Files', during?.commit ? <Link to={`?tab=files&iteration=${during.iteration}`}>of iteration {during.iteration}</Link> : ''],
  ];
  return (
    <div class="stack replay" onKeyDown={key}>
      <div class="line">
        <Button icon={playing ? 'pause' : 'play'} onClick={() => (now >= high && !playing ? (setAt(low), setPlaying(true)) : setPlaying(!playing))}>
          {playing ? 'Pause' : 'Play'}
        </Button>
        <input class="replay-slider" type="range" min={low} max={high} value={now} aria-label="Event" aria-valuetext={`event ${now}${current ? `, ${current.type}` : ''}`} onInput={(event) => go(Number(event.currentTarget.value))} />
        <label class="line">
          <span class="hidden">Event number</span>
          <input class="replay-number mono" type="number" min={low} max={high} value={now} onChange={(event) => go(Number(event.currentTarget.value) || low)} />
          <span class="muted mono">/ {high}</span>
        </label>
      </div>
      {problem && <Wrong error={problem as never} />}
      <dl class="task-facts" aria-live="off">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {!around.length && !problem && <Waiting what="the events" />}
      <ol class="replay-events" ref={list} aria-label="Events around this one">
        {around.map((event) => (
          <li key={event.number} class={event.number === now ? 'here' : event.number > now ? 'later' : ''} aria-current={event.number === now ? 'true' : undefined}>
            <button type="button" onClick={() => go(event.number)}>
              <span class="mono muted">{event.number}</span>
              <span class="mono small muted">{clockTime(event.time)}</span>
              <b class="small">{event.type}</b>
              <span class="replay-words">
                <Cut text={summary(event)} most={160} />
              </span>
            </button>
          </li>
        ))}
      </ol>
      {current && (
        <details>
          <summary>Event {now} as it is written</summary>
          <pre class="replay-raw">{marked(JSON.stringify(current.data, null, 2).slice(0, 20000))}</pre>
        </details>
      )}
      <p class="small muted">Arrow keys go from event to event, with Shift from iteration to iteration.</p>
    </div>
  );
}
