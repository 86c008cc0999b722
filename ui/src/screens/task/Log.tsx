// The whole log from line 1 and its end at any moment. Lines are fetched in windows by number, search runs on the server,
// what storage has cut is marked where it was.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { get, type Problem } from '../../api';
import { stored, useCell } from '../../cell';
import { useLive } from '../../live';
import { Button, Copy, Empty, Icon, Waiting, Wrong, clockTime, copyText, marked } from '../../parts';
import { Lines, type LinesHandle } from '../../parts/Lines';
import { sgrRuns, withoutSgr } from '../../parts/sgr';
import { setQuery } from '../../router';
import type { LogLine, LogSection, LogWindow } from '../../types';
import type { TabProps } from './Task';
import type { Schemas } from '../../types';

type Search = Schemas['TaskLogMatches'];

const chunk = 500; // lines of one request
const chunksKept = 60;
const times = stored<'off' | 'on'>('log-times', 'off');
const wrap = stored<'off' | 'on'>('log-wrap', 'off');

interface Store {
  total: number;
  complete: boolean;
  offset: number; // lines before the chosen iteration
  chunks: Map<number, LogLine[]>;
  sections: Map<number, LogSection>; // by first line
}
const nothing = (): Store => ({ total: 0, complete: false, offset: 0, chunks: new Map(), sections: new Map() });

// Lines by number; what is not there yet is asked for when it is seen.
function useLog(task: string, iteration: number | null, final: boolean) {
  const store = useRef<Store>(nothing());
  const [version, setVersion] = useState(0);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [ready, setReady] = useState(false);
  const asked = useRef(new Set<number>());
  const key = `${task} ${iteration}`;
  const now = useRef(key);
  now.current = key;

  const take = useCallback((window: LogWindow) => {
    const at = store.current;
    at.total = window.total;
    at.complete = window.complete;
    for (const line of window.lines) {
      const number = Math.floor((line.n - 1) / chunk);
      let piece = at.chunks.get(number);
      if (!piece) at.chunks.set(number, (piece = []));
      piece[(line.n - 1) % chunk] = line;
    }
    for (const section of window.sections) at.sections.set(section.line, section);
    if (at.chunks.size > chunksKept) for (const old of [...at.chunks.keys()].slice(0, at.chunks.size - chunksKept)) at.chunks.delete(old);
    setVersion((n) => n + 1);
  }, []);

  const ask = useCallback(
    async (from: number, count: number) => {
      const mine = key;
      try {
        const window = await get<LogWindow>(`tasks/${task}/log`, { from, count });
        if (now.current === mine) {
          take(window);
          setProblem(null);
        }
      } catch (error) {
        if (now.current === mine) setProblem(error as Problem);
      }
    },
    [key, take],
  );

  const range = useRef<{ from: number; to: number } | null>(null);
  const refresh = useCallback(async () => {
    const mine = key;
    try {
      const window = await get<LogWindow>(`tasks/${task}/log`, { from: -chunk, count: chunk, iteration });
      if (now.current !== mine) return;
      range.current = window.iteration_range;
      take(window);
      setReady(true);
      setProblem(null);
      // The server still reads older events into the log: its numbers are not the last word.
      if (!window.complete)
        setTimeout(() => {
          if (now.current === mine) void refresh();
        }, 500);
    } catch (error) {
      if (now.current === mine) {
        setProblem(error as Problem);
        setReady(true);
      }
    }
  }, [key, take]);

  useEffect(() => {
    store.current = nothing();
    asked.current.clear();
    range.current = null;
    setReady(false);
    void refresh();
  }, [refresh]);

  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const soon = () => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      asked.current.clear();
      void refresh();
    }, 200);
  };
  useLive(final ? [] : [`task:${task}`], soon, soon, soon);

  const line = (n: number): LogLine | null => store.current.chunks.get(Math.floor((n - 1) / chunk))?.[(n - 1) % chunk] ?? null;
  const need = (from: number, to: number) => {
    for (let piece = Math.floor((from - 1) / chunk); piece <= Math.floor((to - 1) / chunk); piece++) {
      const first = piece * chunk + 1;
      const last = Math.min(first + chunk - 1, store.current.total);
      const low = Math.max(first, from);
      const high = Math.min(last, to);
      if (low > high || asked.current.has(piece)) continue;
      let missing = false;
      for (let n = low; n <= high && !missing; n++) missing = !line(n);
      if (!missing) continue;
      asked.current.add(piece);
      void ask(first, chunk).finally(() => asked.current.delete(piece));
    }
  };
  return { store: store.current, range: range.current, version, problem, ready, line, need, retry: refresh };
}


function highlight(text: string, words: string) {
  if (!words) return marked(text);
  const low = text.toLowerCase();
  const want = words.toLowerCase();
  const parts = [];
  let at = 0;
  for (let found = low.indexOf(want); found >= 0 && parts.length < 200; found = low.indexOf(want, at)) {
    parts.push(marked(text.slice(at, found)), <mark>{marked(text.slice(found, found + want.length))}</mark>);
    at = found + want.length;
  }
  parts.push(marked(text.slice(at)));
  return parts;
}

const lineText = (line: LogLine, words: string) => (words ? highlight(withoutSgr(line.text), words) : sgrRuns(line.text).map((run) => (run.look ? <span class={run.look}>{marked(run.text)}</span> : marked(run.text))));
const bytesText = (bytes: number) => (bytes < 10_000 ? `${bytes} bytes` : bytes < 10_000_000 ? `${(bytes / 1000).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

export function Log({ task, iteration, query }: TabProps) {
  const final = ['done', 'unproven', 'stopped', 'failed'].includes(task.state);
  const log = useLog(task.id, iteration, final);
  const withTimes = useCell(times) === 'on';
  const wrapped = useCell(wrap) === 'on';
  const permanent = Number(query.get('line')) || 0;
  const [follow, setFollow] = useState(!permanent);
  const [seenTotal, setSeenTotal] = useState(0);
  const [words, setWords] = useState(query.get('find') ?? '');
  const [found, setFound] = useState<Search | null>(null);
  const [at, setAt] = useState(0);
  const handle = useRef<LinesHandle | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const jumped = useRef(false);

  const base = iteration && log.range ? log.range.from - 1 : 0;
  const total = iteration ? (log.range ? log.range.to - log.range.from + 1 : 0) : log.store.total;
  const fresh = follow ? 0 : Math.max(0, total - seenTotal);

  useEffect(() => {
    if (follow) setSeenTotal(total);
  }, [follow, total]);
  useEffect(() => {
    if (log.ready && permanent && !jumped.current) {
      jumped.current = true;
      handle.current?.goTo(permanent - base);
    }
  }, [log.ready, permanent, base]);

  // Ctrl+F opens our search: the browser's finds only what is in the window.
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'f' && !event.shiftKey && document.activeElement !== field.current) {
        event.preventDefault();
        field.current?.focus();
        field.current?.select();
      }
    };
    window.addEventListener('keydown', key);
    return () => window.removeEventListener('keydown', key);
  }, []);

  const goTo = (line: number) => {
    setFollow(false);
    setSeenTotal(total);
    setQuery({ line: String(line) });
    handle.current?.goTo(line - base);
  };
  useEffect(() => {
    if (!words) {
      setFound(null);
      return;
    }
    const control = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const answer = await get<Search>(`tasks/${task.id}/log/search`, { q: words, limit: 100, iteration }, control.signal);
        setFound(answer);
        setAt(0);
        if (answer.matches[0]) goTo(answer.matches[0].line);
      } catch {
        if (!control.signal.aborted) setFound(null);
      }
    }, 250);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [words, iteration]);
  const step = async (by: number) => {
    if (!found?.matches.length) return;
    let matches = found.matches;
    let to = at + by;
    if (to >= matches.length && found.next) {
      const more = await get<Search>(`tasks/${task.id}/log/search`, { q: words, limit: 100, from: found.next, iteration });
      matches = [...matches, ...more.matches];
      setFound({ ...found, matches, next: more.next });
    }
    to = (to + matches.length) % matches.length;
    setAt(to);
    goTo(matches[to]!.line);
  };
  const nextFailure = async () => {
    const from = (handle.current?.first() ?? 0) + base;
    const answer = await get<{ sections: LogSection[] }>(`tasks/${task.id}/log/sections`, { failed: 1, count: 1000 });
    const bad = answer.sections.filter((one) => one.failed && (!iteration || one.iteration === iteration));
    const next = bad.find((one) => one.line > from + 15) ?? bad[0];
    if (next) goTo(next.line);
    return next;
  };
  const copyNumbered = () => {
    const first = (handle.current?.first() ?? 1) + base;
    const lines: string[] = [];
    for (let n = first; n < first + 200 && n <= base + total; n++) {
      const line = log.line(n);
      if (line) lines.push(`${String(n).padStart(7)}  ${withoutSgr(line.text)}`);
    }
    return copyText(lines.join('\n'));
  };

  const render = (row: number) => {
    const n = row + base;
    const line = log.line(n);
    const section = log.store.sections.get(n);
    return (
      <>
        <a
          class={`lines-number ${n === permanent ? 'here' : ''}`}
          href={`?tab=log&line=${n}`}
          tabIndex={-1}
          aria-label={`Line ${n}`}
          onClick={(event) => {
            event.preventDefault();
            setQuery({ line: String(n), tab: 'log' });
          }}
        >
          {n}
        </a>
        {withTimes && <span class="log-time">{section ? clockTime(section.time) : ''}</span>}
        <span class={`log-text ${line?.kind ?? ''} ${section?.failed ? 'failed' : ''} ${section ? 'head' : ''} ${n === permanent ? 'here' : ''}`} data-line={n}>
          {line ? lineText(line, words) : <span class="muted">…</span>}
          {line?.cut ? <span class="cut-mark">{bytesText(line.cut)} of this line are not kept</span> : null}
        </span>
      </>
    );
  };

  if (log.problem && !log.store.total) return <Wrong error={log.problem} retry={log.retry} />;
  if (!log.ready) return <Waiting what="the log" />;
  if (!total)
    return (
      <Empty title="No line yet" command={`nightmill log ${task.id} --follow`}>
        {final ? 'Nothing was written by this task.' : 'What the agent says and does appears here as it happens.'}
      </Empty>
    );
  return (
    <div class="log">
      <div class="line log-tools" role="toolbar" aria-label="Log">
        <span class="log-find">
          <input
            type="search"
            ref={field}
            placeholder="Find in the whole log"
            aria-label="Find in the whole log"
            aria-keyshortcuts="Control+F"
            value={words}
            onInput={(event) => setWords(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter') {
                event.preventDefault();
                void step(event.shiftKey ? -1 : 1);
              } else if (event.key === 'Escape') {
                setWords('');
                handle.current?.focus();
              }
            }}
          />
          {words && (
            <span class="small mono muted" role="status">
              {found ? (found.total ? `${at + 1} of ${found.total}` : 'not found') : '…'}
            </span>
          )}
          {found && found.total > 1 && (
            <>
              <Button small kind="quiet" icon="up" label="Match before" onClick={() => step(-1)} />
              <Button small kind="quiet" icon="down" label="Next match" onClick={() => step(1)} />
            </>
          )}
        </span>
        <Button small kind="quiet" icon="warning" onClick={nextFailure}>
          Next failure
        </Button>
        <Button small kind="quiet" icon="clock" pressed={withTimes} onClick={() => times.set(withTimes ? 'off' : 'on')}>
          Times
        </Button>
        <Button small kind="quiet" pressed={wrapped} onClick={() => wrap.set(wrapped ? 'off' : 'on')}>
          Wrap
        </Button>
        <Button small kind="quiet" icon="copy" onClick={copyNumbered}>
          Copy with numbers
        </Button>
        <a class="button quiet small" href={`/api/v1/tasks/${task.id}/log/raw`} download>
          <Icon name="download" />
          Download
        </a>
        <span class="push small mono muted">
          {total.toLocaleString('en').replaceAll(',', ' ')} lines
          {log.problem ? ', not up to date' : ''}
        </span>
      </div>
      {wrapped ? (
        <Wrapped total={total} base={base} first={handle.current?.first() ?? (permanent ? permanent - base : 0)} line={log.line} need={log.need} version={log.version} words={words} />
      ) : (
        <div class="log-frame">
          <Lines
            total={total}
            render={render}
            label={`Log of ${task.id}`}
            follow={follow}
            onFollow={(on) => {
              setFollow(on);
              setSeenTotal(total);
            }}
            onSeen={(from, to) => log.need(Math.max(1, from - 50) + base, Math.min(total, to + 50) + base)}
            handle={handle}
          />
          {!follow && (
            <Button small class="log-follow" icon="down" onClick={() => setFollow(true)}>
              {fresh > 0 ? `${fresh.toLocaleString('en').replaceAll(',', ' ')} new ${fresh === 1 ? 'line' : 'lines'}` : final ? 'To the end' : 'Follow'}
            </Button>
          )}
        </div>
      )}
      {permanent > 0 && (
        <div class="line small muted">
          Line {permanent} <Copy text={`${location.origin}/tasks/${task.id}?tab=log&line=${permanent}`} what="the link to this line" />
        </div>
      )}
    </div>
  );
}

// Long lines in full: some hundred lines at a time, as ordinary text.
const wrappedLines = 300;
function Wrapped({ total, base, first, line, need, words }: { total: number; base: number; first: number; line: (n: number) => LogLine | null; need: (from: number, to: number) => void; version: number; words: string }) {
  const [from, setFrom] = useState(Math.max(1, Math.min(first || total - wrappedLines + 1, total - wrappedLines + 1)));
  const to = Math.min(total, from + wrappedLines - 1);
  useEffect(() => need(from + base, to + base));
  const rows = [];
  for (let n = from; n <= to; n++) {
    const one = line(n + base);
    rows.push(
      <div key={n} class="log-wrapped-line">
        <span class="lines-number">{n + base}</span>
        <span class={`log-text ${one?.kind ?? ''}`}>{one ? lineText(one, words) : '…'}</span>
      </div>,
    );
  }
  return (
    <div class="log-wrapped" tabIndex={0} role="region" aria-label="Log, wrapped">
      {from > 1 && (
        <Button small onClick={() => setFrom(Math.max(1, from - wrappedLines))}>
          Lines before {from + base}
        </Button>
      )}
      {rows}
      {to < total && (
        <Button small onClick={() => setFrom(Math.min(from + wrappedLines, Math.max(1, total - wrappedLines + 1)))}>
          Lines after {to + base}
        </Button>
      )}
    </div>
  );
}
