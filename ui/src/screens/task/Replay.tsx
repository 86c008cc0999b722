// Goes through the journal of a task: what was known at each event, by hand or played. A range of it can be chosen, which
// the other tabs then keep to. The place and the range stand in the address.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { get } from '../../api';
import { stored, useCell } from '../../cell';
import { useData } from '../../live';
import { Button, Copy, Cut, Empty, Money, StateMark, Waiting, Wrong, clockTime, durationText, isFinal, marked } from '../../parts';
import { Link, setQuery } from '../../router';
import type { Iteration, LogSection, TaskEvent } from '../../types';
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
// As fast as it was, and faster; a long wait between two events is not sat through.
const speeds = ['1', '4', '16', '64'];
const speedKept = stored<string>('replay-speed', '4');
const longestWait = 1500; // milliseconds
const shortestWait = 16;

const summary = (event: TaskEvent): string => {
  const { data } = event;
  for (const name of ['words', 'summary', 'text', 'command', 'check', 'name', 'state', 'outcome', 'model']) {
    const value = data[name];
    if (typeof value === 'string' && value) return value;
  }
  const text = JSON.stringify(data);
  return text === '{}' ? '' : text;
};


// The iterations as bands of the scrubber, so that one sees where one goes.
function Bands({ iterations, low, high }: { iterations: Iteration[]; low: number; high: number }) {
  const share = (n: number) => `${((Math.max(low, Math.min(high, n)) - low) / Math.max(1, high - low)) * 100}%`;
  return (
    <span class="replay-bands" aria-hidden="true">
      {iterations
        .filter((one) => one.first_event <= high && (!one.ended_at || one.last_event >= low))
        .map((one) => {
          const end = one.ended_at ? one.last_event : high;
          return <i key={one.iteration} class={one.checks_failed || one.outcome === 'red' ? 'bad' : one.outcome === 'proven' ? 'good' : ''} style={{ left: share(one.first_event), right: `calc(100% - ${share(end)})` }} title={`Iteration ${one.iteration}`} />;
        })}
    </span>
  );
}

// Two handles on one track: native sliders, of which only the thumbs can be taken hold of.
function RangeSlider({ low, high, from, to, onChange }: { low: number; high: number; from: number; to: number; onChange: (from: number, to: number) => void }) {
  const share = (n: number) => `${((n - low) / Math.max(1, high - low)) * 100}%`;
  return (
    <span class="replay-range">
      <i class="replay-range-line" />
      <i class="replay-range-part" style={{ left: share(from), right: `calc(100% - ${share(to)})` }} />
      <input type="range" min={low} max={high} value={from} aria-label="Range from event" onInput={(event) => onChange(Math.min(Number(event.currentTarget.value), to), to)} />
      <input type="range" min={low} max={high} value={to} aria-label="Range to event" onInput={(event) => onChange(from, Math.max(Number(event.currentTarget.value), from))} />
    </span>
  );
}

export function Replay({ task, iteration, iterations: all, scope, query }: TabProps) {
  const iterations = all.filter((one) => one.first_event > 0); // one whose plan waits has not begun
  const last = task.last_event ?? 0;
  const chosen = iterations.find((one) => one.iteration === iteration);
  const low = chosen?.first_event ?? 1;
  const high = Math.max(low, chosen?.ended_at ? chosen.last_event : last);
  const inside = (n: number, least: number, greatest: number) => Math.max(least, Math.min(greatest, n));
  const from = inside(scope?.from ?? low, low, high);
  const to = inside(scope?.to ?? high, from, high);
  const [at, setAt] = useState(Number(query.get('at')) || from);
  const [around, setAround] = useState<TaskEvent[]>([]);
  const [problem, setProblem] = useState<Error | null>(null);
  const [playing, setPlaying] = useState(false);
  const [line, setLine] = useState<LogSection | null>(null);
  const speed = useCell(speedKept);
  const bills = useData<{ currency: string; line: { time: string; total: string }[] }>(`tasks/${task.id}/cost`, { topics: isFinal(task.state) ? [] : [`task:${task.id}`], when: (event) => event.type.startsWith('model.') });
  const now = inside(at, low, high);

  // What surrounds the place; of the same pages, the state that was last said.
  useEffect(() => {
    let gone = false;
    const starts = [...new Set([Math.max(1, now - 12), now, Math.min(last, now + 12)].map((n) => Math.floor((n - 1) / windowSize) * windowSize + 1))];
    Promise.all(starts.map((n) => piece(task.id, n, n + windowSize > last && !isFinal(task.state))))
      .then((lists) => {
        if (gone) return;
        setAround(lists.flat());
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
  const current = around.find((event) => event.number === now);
  const following = around.find((event) => event.number === now + 1);
  useEffect(() => {
    if (!playing) return;
    if (now >= to) {
      setPlaying(false);
      return;
    }
    const gap = current && following ? Date.parse(following.time) - Date.parse(current.time) : 250;
    const timer = setTimeout(() => setAt(now + 1), Math.max(shortestWait, Math.min(longestWait, gap / (Number(speed) || 1))));
    return () => clearTimeout(timer);
  }, [playing, now, to, speed, current, following]);
  // Where this instant is in the log.
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(async () => {
      try {
        const { sections } = await get<{ sections: LogSection[] }>(`tasks/${task.id}/log/sections`, { event: now, count: 1 });
        if (!gone) setLine(sections[0] ?? null);
      } catch {
        if (!gone) setLine(null);
      }
    }, 200);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [now, task.id]);

  const shown = around.filter((event) => event.number >= now - 12 && event.number <= now + 12);
  const during = iterations.findLast((one) => one.first_event <= now);
  const ended = iterations.findLast((one) => one.ended_at && one.last_event <= now);
  const state = useMemo(() => {
    const said = around.findLast((event) => event.type === 'task.state' && event.number <= now);
    if (said) return String(said.data['state']);
    if (!during) return 'queued';
    return during.ended_at && now > during.last_event ? task.state : 'working';
  }, [around, now, during, task.state]);
  if (!last) return <Empty title="Nothing to replay yet">The journal of this task begins with its first step.</Empty>;
  const bill = current && bills.data ? (bills.data.line.findLast((point) => Date.parse(point.time) <= Date.parse(current.time))?.total ?? '0') : null;

  const go = (next: number) => {
    setPlaying(false);
    setAt(inside(next, low, high));
  };
  const play = () => {
    if (!playing && (now >= to || now < from)) setAt(from);
    setPlaying(!playing);
  };
  const range = (first: number, end: number) => setQuery(first <= low && end >= high ? { from: null, to: null } : { from: String(first), to: String(end) });
  const faster = (by: number) => speedKept.set(speeds[inside(speeds.indexOf(speed) + by, 0, speeds.length - 1)]!);
  const key = (event: KeyboardEvent) => {
    const target = event.target as HTMLInputElement;
    if (event.ctrlKey || event.metaKey || event.altKey || target.type === 'number' || target.tagName === 'SELECT') return;
    const own = target.type === 'range' && target.closest('.replay-range'); // the handles have the arrows for themselves
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const starts = iterations.map((one) => one.first_event);
    if (by && !own) {
      if (event.shiftKey) go((by > 0 ? starts.find((n) => n > now) : starts.findLast((n) => n < now)) ?? now);
      else go(now + by);
    } else if (event.key === ' ' && target.tagName !== 'BUTTON' && target.tagName !== 'SUMMARY' && target.tagName !== 'A') play();
    else if (event.key === '[') range(now, Math.max(now, to));
    else if (event.key === ']') range(Math.min(now, from), now);
    else if (event.key === '+' || event.key === '-') faster(event.key === '+' ? 1 : -1);
    else if (event.key === 'Escape' && scope) range(low, high);
    else return;
    event.preventDefault();
  };
  const facts: [string, preact.ComponentChildren][] = [
    ['State', <StateMark state={state} />],
    ['Iteration', during ? <span class="mono">{during.iteration}</span> : <span class="muted">before the first</span>],
    ['Since the start', current && task.started_at ? <span class="mono">{durationText(Math.max(0, Date.parse(current.time) - Date.parse(task.started_at)))}</span> : ''],
    ['Spent by then', bill === null ? <span class="muted">…</span> : <Money amount={bill} currency={bills.data!.currency} />],
    ['Checks by then', ended ? <Link to={`?tab=checks&iteration=${ended.iteration}`}>{ended.checks_passed} passed, {ended.checks_failed} failed</Link> : <span class="muted">none ran</span>],
    ['Log', line ? <Link to={`?tab=log&line=${line.line}`}>line {line.line}</Link> : <span class="muted">…</span>],
    ['Files', ended?.commit ? <Link to={`?tab=files&iteration=${ended.iteration}`}>as iteration {ended.iteration} left them</Link> : <span class="muted">as at the start</span>],
  ];
  const link = () => {
    const words = new URLSearchParams({ tab: 'replay', at: String(now), ...(scope ? { from: String(from), to: String(to) } : {}), ...(iteration ? { iteration: String(iteration) } : {}) });
    return `${location.origin}/tasks/${task.id}?${words.toString()}`;
  };
  return (
    <div class="stack replay" onKeyDown={key}>
      <div class="line replay-controls">
        <Button icon={playing ? 'pause' : 'play'} onClick={play}>
          {playing ? 'Pause' : 'Play'}
        </Button>
        <select aria-label="Speed" value={speed} onChange={(event) => speedKept.set(event.currentTarget.value)}>
          {speeds.map((one) => (
            <option key={one} value={one}>
              {one === '1' ? 'as it was' : `${one} times as fast`}
            </option>
          ))}
        </select>
        <Button kind="quiet" icon="left" label="Event before" onClick={() => go(now - 1)} />
        <Button kind="quiet" icon="right" label="Next event" onClick={() => go(now + 1)} />
        <label class="line">
          <span class="hidden">Event number</span>
          <input class="replay-number mono" type="number" min={low} max={high} value={now} onChange={(event) => go(Number(event.currentTarget.value) || low)} />
          <span class="muted mono">/ {high}</span>
        </label>
        <span class="push">
          <Copy text={link()} what="the link to this place" />
        </span>
      </div>
      <div class="replay-track">
        <Bands iterations={iterations} low={low} high={high} />
        <input class="replay-slider" type="range" min={low} max={high} value={now} aria-label="Event" aria-valuetext={`event ${now}${current ? `, ${current.type}` : ''}`} onInput={(event) => go(Number(event.currentTarget.value))} />
        <RangeSlider low={low} high={high} from={from} to={to} onChange={range} />
      </div>
      <div class="line small">
        <span class="muted" role="status">
          {scope ? `Events ${from} to ${to}: the other tabs keep to them, and Play too.` : 'All events. Choose a range, and the other tabs keep to it.'}
        </span>
        <span class="push line">
          <Button small kind="quiet" keys="[" onClick={() => range(now, Math.max(now, to))}>
            From here
          </Button>
          <Button small kind="quiet" keys="]" onClick={() => range(Math.min(now, from), now)}>
            To here
          </Button>
          {scope && (
            <Button small kind="quiet" icon="cross" onClick={() => range(low, high)}>
              All events
            </Button>
          )}
        </span>
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
      <ol class="replay-events" aria-label="Events around this one">
        {shown.map((event) => (
          <li key={event.number} class={`${event.number === now ? 'here' : event.number > now ? 'later' : ''} ${event.number < from || event.number > to ? 'outside' : ''}`} aria-current={event.number === now ? 'true' : undefined}>
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
          <pre class="replay-raw" tabIndex={0} role="region" aria-label={`Event ${now}`}>
            {marked(JSON.stringify(current.data, null, 2).slice(0, 20000))}
          </pre>
        </details>
      )}
      <p class="small muted">
        <kbd>←</kbd> and <kbd>→</kbd> go from event to event, with <kbd>Shift</kbd> from iteration to iteration; <kbd>Space</kbd> plays, <kbd>+</kbd> and <kbd>-</kbd> change the speed; <kbd>[</kbd> and <kbd>]</kbd> begin and end a range here, <kbd>Esc</kbd> takes it away.
      </p>
    </div>
  );
}
