// The whole log from line 1 and its end at any moment. Lines are fetched in windows by number, search runs on the server,
// what storage has cut is marked where it was. Commands, calls and checks fold: what passed is one line, until it is
// opened or something in it is looked for.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get, type Problem } from '../../api';
import { stored, useCell } from '../../cell';
import { useLive } from '../../live';
import { Button, Copy, Empty, Icon, Waiting, Wrong, clockTime, copyText, durationText, isFinal, marked } from '../../parts';
import { Lines, type LinesHandle } from '../../parts/Lines';
import { sgrRuns, withoutSgr } from '../../parts/sgr';
import { setQuery } from '../../router';
import type { LogLine, LogSection, LogWindow } from '../../types';
import type { Schemas } from '../../types';
import { foldRule, foldSet, foldsKept, foldsOf, isFolded, rowsOf, stepOf, useSteps, type FoldRule, type LogStep, type Rows } from './folds';
import type { Scope, TabProps } from './Task';

type Search = Schemas['TaskLogMatches'];

const chunk = 500; // lines of one request
const chunksKept = 60;
const times = stored<'off' | 'on'>('log-times', 'off');
const wrap = stored<'off' | 'on'>('log-wrap', 'off');

interface Store {
  total: number;
  complete: boolean;
  chunks: Map<number, LogLine[]>;
  sections: Map<number, LogSection>; // by first line
}
const nothing = (): Store => ({ total: 0, complete: false, chunks: new Map(), sections: new Map() });

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


// The lines that a range of events is told in.
function useScopeLines(task: string, scope: Scope | null, total: number): { first: number; last: number } | null {
  const [lines, setLines] = useState<{ key: string; first: number; last: number } | null>(null);
  const key = scope ? `${task} ${scope.from} ${scope.to} ${total}` : '';
  useEffect(() => {
    if (!scope) return;
    let gone = false;
    const section = (event: number) => get<{ sections: LogSection[] }>(`tasks/${task}/log/sections`, { event, count: 1 }).then((answer) => answer.sections[0]);
    void Promise.all([section(scope.from), section(scope.to)]).then(
      ([from, to]) => {
        if (!gone && from && to) setLines({ key, first: from.line, last: to.line + to.lines - 1 });
      },
      () => undefined, // all of it is shown; the next change asks again
    );
    return () => {
      gone = true;
    };
  }, [key]);
  return scope && lines ? lines : null;
}

const figure = (n: number) => n.toLocaleString('en').replaceAll(',', ' ');
const linesWords = (n: number) => `${figure(n)} ${n === 1 ? 'line' : 'lines'}`;
function stepState(step: LogStep, last: boolean): { icon: 'state-done' | 'state-failed' | 'state-working' | null; tone: string; words: string } {
  const took = step.ms === null ? '' : durationText(step.ms);
  const code = step.exit_code ? `exit ${step.exit_code}` : '';
  const words = [code, took].filter(Boolean).join(', ');
  if (!step.ended) return last ? { icon: 'state-working', tone: 'accent', words: 'runs' } : { icon: null, tone: '', words: '' };
  return step.failed ? { icon: 'state-failed', tone: 'bad', words: words || 'failed' } : { icon: 'state-done', tone: 'good', words };
}

export function Log({ task, iteration, scope, query }: TabProps) {
  const final = isFinal(task.state);
  const log = useLog(task.id, iteration, final);
  const steps = useSteps(task.id, iteration, log.store.total, log.store.complete);
  const scoped = useScopeLines(task.id, scope, log.store.total);
  const withTimes = useCell(times) === 'on';
  const wrapped = useCell(wrap) === 'on';
  const rule = useCell(foldRule);
  const foldsText = useCell(foldsKept);
  const permanent = Number(query.get('line')) || 0;
  const [follow, setFollow] = useState(!permanent);
  const [seenTotal, setSeenTotal] = useState(0);
  const [words, setWords] = useState(query.get('find') ?? '');
  const [found, setFound] = useState<Search | null>(null);
  const [at, setAt] = useState(0);
  const [cursor, setCursor] = useState(0); // the step that the keyboard is at, by its line
  const [wish, setWish] = useState<{ line: number; where: 'middle' | 'top'; focus?: boolean } | null>(null);
  const handle = useRef<LinesHandle | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const jumped = useRef(false);
  const seenOpen = useRef(new Set<number>());

  let first = 1;
  let last = log.store.total;
  if (iteration) {
    first = log.range?.from ?? 1;
    last = log.range?.to ?? 0;
  }
  if (scoped) {
    first = Math.max(first, scoped.first);
    last = Math.min(last, scoped.last);
  }
  const total = Math.max(0, last - first + 1);
  const fresh = follow ? 0 : Math.max(0, total - seenTotal);
  const ready = log.ready && steps.ready;

  const folds = useMemo(() => foldsOf(task.id), [foldsText, task.id]);
  for (const step of steps.list.slice(-20)) if (!step.ended) seenOpen.current.add(step.line);
  const rows: Rows = useMemo(() => rowsOf(first, last, steps.list.filter((step) => isFolded(step, rule, folds, seenOpen.current))), [first, last, steps.list, rule, folds]);
  const heads = useMemo(() => new Map(steps.list.map((step) => [step.line, step])), [steps.list]);
  const lastStep = steps.list.at(-1);
  const lineAt = (row: number) => rows.lineOf(row);
  const topLine = () => lineAt(Math.max(1, handle.current?.first() ?? 1));

  const fold = (step: LogStep, folded: boolean) => {
    if (!folded) setFollow(false);
    foldSet(task.id, step.line, folded);
  };
  // Opens what a line is folded away in, and goes there when it has been drawn.
  const goTo = (line: number, more: { where?: 'middle' | 'top'; focus?: boolean; keep?: boolean } = {}) => {
    const step = stepOf(steps.list, line);
    if (step && line !== step.line && isFolded(step, rule, folds, seenOpen.current)) foldSet(task.id, step.line, false);
    setFollow(false);
    setSeenTotal(total);
    if (!more.keep) setQuery({ line: String(line) });
    setWish({ line, where: more.where ?? 'middle', ...(more.focus ? { focus: true } : {}) });
  };
  useEffect(() => {
    if (!wish || !ready) return;
    handle.current?.goTo(rows.rowOf(Math.max(first, Math.min(last, wish.line))), wish.where);
    if (!wish.focus) setWish(null);
  }, [wish, rows, ready, wrapped]);
  // A step that was gone to by keyboard takes the focus once its row is there.
  useLayoutEffect(() => {
    if (!wish?.focus) return;
    const button = frame.current?.querySelector<HTMLElement>(`[data-step="${wish.line}"]`);
    if (!button) return;
    button.focus({ preventScroll: true });
    setWish(null);
  });

  useEffect(() => {
    if (follow) setSeenTotal(total);
  }, [follow, total]);
  useEffect(() => {
    if (ready && permanent && !jumped.current) {
      jumped.current = true;
      goTo(permanent);
    }
  }, [ready, permanent]);

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

  const search = (more: Record<string, unknown>, signal?: AbortSignal) =>
    get<Search>(`tasks/${task.id}/log/search`, { q: words, limit: 100, iteration, ...(scoped ? { first: scoped.first, last: scoped.last } : {}), ...more }, signal);
  useEffect(() => {
    if (!words || !ready) {
      setFound(null);
      return;
    }
    const control = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const answer = await search({}, control.signal);
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
  }, [words, iteration, scoped?.first, scoped?.last, ready]);
  const step = async (by: number) => {
    if (!found?.matches.length) return;
    let matches = found.matches;
    let to = at + by;
    if (to >= matches.length && found.next) {
      const more = await search({ from: found.next });
      matches = [...matches, ...more.matches];
      setFound({ ...found, matches, next: more.next });
    }
    to = (to + matches.length) % matches.length;
    setAt(to);
    goTo(matches[to]!.line);
  };
  const nextFailure = async () => {
    const from = cursor || topLine();
    const answer = await get<{ sections: LogSection[] }>(`tasks/${task.id}/log/sections`, { failed: 1, count: 5000 });
    const bad = [...new Set([...answer.sections.filter((one) => one.failed).map((one) => one.line), ...steps.list.filter((one) => one.failed).map((one) => one.line)])].filter((line) => line >= first && line <= last).sort((a, b) => a - b);
    const next = bad.find((line) => line > from) ?? bad[0];
    if (next === undefined) return;
    setCursor(next);
    goTo(next);
  };
  const copyNumbered = () => {
    const lines: string[] = [];
    const begin = Math.max(1, handle.current?.first() ?? 1);
    for (let row = begin; row < begin + 200 && row <= rows.total; row++) {
      const line = log.line(lineAt(row));
      if (line) lines.push(`${String(line.n).padStart(7)}  ${withoutSgr(line.text)}`);
    }
    return copyText(lines.join('\n'));
  };
  const foldAll = (next: FoldRule) => {
    const line = topLine();
    seenOpen.current.clear();
    foldRule.set(next);
    foldSet(task.id, 0, null);
    if (!follow) setWish({ line, where: 'top' });
  };
  // From step to step; Home and End go to the ends of the log, not of what is in the document.
  const key = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.target as HTMLElement).tagName === 'INPUT') return;
    const now = cursor && heads.has(cursor) ? cursor : topLine() - 1;
    const here = heads.get(cursor);
    if (event.key === ']' || event.key === '[') {
      const next = event.key === ']' ? steps.list.find((one) => one.line > now && one.line >= first && one.line <= last) : steps.list.findLast((one) => one.line < (cursor || topLine()) && one.line >= first);
      if (!next) return;
      setCursor(next.line);
      goTo(next.line, { focus: true, keep: true });
    } else if ((event.key === 'ArrowRight' || event.key === 'ArrowLeft') && here && (event.target as HTMLElement).hasAttribute('data-step')) fold(here, event.key === 'ArrowLeft');
    else if (event.key === 'Home') goTo(first, { where: 'top', keep: true });
    else if (event.key === 'End') setFollow(true);
    else return;
    event.preventDefault();
  };

  const render = (row: number) => {
    const n = lineAt(row);
    const line = log.line(n);
    const section = log.store.sections.get(n);
    const head = heads.get(n);
    const shut = head ? isFolded(head, rule, folds, seenOpen.current) : false;
    const state = head ? stepState(head, !final && head === lastStep) : null;
    const title = line ? withoutSgr(line.text).slice(0, 120) : '';
    return (
      <>
        <span class="log-gutter">
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
          {head && head.lines > 1 ? (
            <button
              type="button"
              class="log-fold"
              data-step={n}
              tabIndex={n === cursor ? 0 : -1}
              aria-expanded={!shut}
              aria-label={`${title}, ${[head.failed ? 'failed' : '', state!.words, linesWords(head.lines)].filter(Boolean).join(', ')}`}
              onFocus={() => setCursor(n)}
              onClick={() => fold(head, !shut)}
            >
              {shut ? '▸' : '▾'}
            </button>
          ) : (
            <span class={`log-fold ${head ? '' : stepOf(steps.list, n) ? 'inside' : ''}`} />
          )}
        </span>
        {withTimes && <span class="log-time">{section ? clockTime(section.time) : ''}</span>}
        {state?.icon && (
          <span class={`log-step ${state.tone}`}>
            <Icon name={state.icon} strong />
          </span>
        )}
        <span class={`log-text kind-${line?.kind ?? 'none'} ${(head ? head.failed : section?.failed) ? 'failed' : ''} ${section ? 'head' : ''} ${n === permanent ? 'here' : ''}`} data-line={n}>
          {line ? lineText(line, words) : <span class="muted">…</span>}
          {line?.cut ? <span class="cut-mark">{bytesText(line.cut)} of this line are not kept</span> : null}
          {state?.words && <span class={`log-took ${state.tone}`}>{state.words}</span>}
          {head && shut && (
            <button type="button" class="log-more" tabIndex={-1} aria-hidden="true" onClick={() => fold(head, false)}>
              {linesWords(head.lines - 1)}
            </button>
          )}
        </span>
      </>
    );
  };
  const need = (from: number, to: number) => {
    // Rows that are together need not be lines that are.
    for (let row = Math.max(1, from), begin = lineAt(row); row <= Math.min(rows.total, to); row++) {
      const next = row < Math.min(rows.total, to) ? lineAt(row + 1) : 0;
      if (next === lineAt(row) + 1) continue;
      log.need(begin, lineAt(row));
      begin = next;
    }
  };

  if (log.problem && !log.store.total) return <Wrong error={log.problem} retry={log.retry} />;
  if (!ready) return <Waiting what="the log" />;
  if (!total)
    return (
      <Empty title="No line yet" command={`nightmill log ${task.id} --follow`}>
        {final ? 'Nothing was written by this task.' : 'What the agent says and does appears here as it happens.'}
      </Empty>
    );
  const foldable = steps.list.length > 0 || steps.tooMany > 0;
  return (
    <div class="log" style={{ '--digits': String(last).length }}>
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
        {foldable && (
          <select
            class="log-rule"
            aria-label="Steps"
            value={steps.tooMany ? 'none' : rule}
            disabled={steps.tooMany > 0}
            title={steps.tooMany ? `${figure(steps.tooMany)} steps are too many to fold; choose an iteration` : undefined}
            onChange={(event) => foldAll(event.currentTarget.value as FoldRule)}
          >
            <option value="passed">Fold what passed</option>
            <option value="all">Fold all steps</option>
            <option value="none">{steps.tooMany ? 'Too many steps to fold' : 'Open all steps'}</option>
          </select>
        )}
        <Button small kind="quiet" icon="warning" onClick={nextFailure}>
          Next failure
        </Button>
        <Button small kind="quiet" icon="clock" pressed={withTimes} onClick={() => times.set(withTimes ? 'off' : 'on')}>
          Times
        </Button>
        <Button
          small
          kind="quiet"
          pressed={wrapped}
          onClick={() => {
            const line = topLine();
            wrap.set(wrapped ? 'off' : 'on');
            if (!follow) setWish({ line, where: 'top' });
          }}
        >
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
          {linesWords(total)}
          {log.problem ? ', not up to date' : ''}
        </span>
      </div>
      <div class="log-frame" ref={frame} onKeyDown={key}>
        {wrapped ? (
          <Wrapped total={rows.total} render={render} need={need} label={`Log of ${task.id}`} handle={handle} lineOf={lineAt} />
        ) : (
          <Lines
            total={rows.total}
            render={render}
            label={`Log of ${task.id}`}
            follow={follow}
            onFollow={(on) => {
              setFollow(on);
              setSeenTotal(total);
            }}
            onSeen={(from, to) => need(from - 50, to + 50)}
            pin={cursor >= first && cursor <= last && heads.has(cursor) ? rows.rowOf(cursor) : 0}
            handle={handle}
          />
        )}
        {!follow && !wrapped && (
          <Button small class="log-follow" icon="down" onClick={() => setFollow(true)}>
            {fresh > 0 ? `${figure(fresh)} new ${fresh === 1 ? 'line' : 'lines'}` : final ? 'To the end' : 'Follow'}
          </Button>
        )}
      </div>
      <div class="line small muted">
        {permanent > 0 && (
          <span>
            Line {permanent} <Copy text={`${location.origin}/tasks/${task.id}?tab=log&line=${permanent}`} what="the link to this line" />
          </span>
        )}
        {steps.list.length > 0 && (
          <span class="log-keys">
            In the log, <kbd>]</kbd> and <kbd>[</kbd> go from step to step, <kbd>→</kbd> opens and <kbd>←</kbd> folds.
          </span>
        )}
      </div>
    </div>
  );
}

// Long lines in full: some hundred rows at a time, as ordinary text.
const wrappedRows = 300;
function Wrapped({ total, render, need, label, handle, lineOf }: { total: number; render: (row: number) => preact.ComponentChildren; need: (from: number, to: number) => void; label: string; handle: { current: LinesHandle | null }; lineOf: (row: number) => number }) {
  const area = useRef<HTMLDivElement>(null);
  const whole = (row: number) => Math.max(1, Math.min(row, total - wrappedRows + 1));
  const [from, setFrom] = useState(whole(total));
  const jump = useRef<{ row: number; where: 'middle' | 'top' | 'end' } | null>(null);
  const begin = whole(from);
  const to = Math.min(total, begin + wrappedRows - 1);
  const rowElement = (row: number) => area.current?.querySelector<HTMLElement>(`[data-row="${row}"]`);
  useEffect(() => need(begin, to));
  useLayoutEffect(() => {
    handle.current = {
      goTo: (row, where = 'middle') => {
        jump.current = { row, where };
        setFrom(row >= begin && row <= to ? begin : whole(row - wrappedRows / 2));
        if (row >= begin && row <= to) put();
      },
      first: () => {
        const top = area.current?.getBoundingClientRect().top ?? 0;
        const rows = [...(area.current?.querySelectorAll<HTMLElement>('[data-row]') ?? [])];
        return Number(rows.find((row) => row.getBoundingClientRect().bottom > top)?.dataset['row'] ?? begin);
      },
      focus: () => area.current?.focus({ preventScroll: true }),
    };
  });
  const put = () => {
    const element = jump.current && rowElement(jump.current.row);
    if (!element || !area.current) return;
    area.current.scrollTop = element.offsetTop - area.current.offsetTop - (jump.current!.where === 'top' ? 0 : area.current.clientHeight / 2);
    jump.current = null;
  };
  useLayoutEffect(put);
  const rows = [];
  for (let row = begin; row <= to; row++)
    rows.push(
      <div key={lineOf(row)} class="log-wrapped-line" data-row={row}>
        {render(row)}
      </div>,
    );
  return (
    <div class="log-wrapped" tabIndex={0} role="region" aria-label={label} ref={area}>
      {begin > 1 && (
        <Button small onClick={() => setFrom(whole(begin - wrappedRows))}>
          Lines before {lineOf(begin)}
        </Button>
      )}
      {rows}
      {to < total && (
        <Button small onClick={() => setFrom(whole(begin + wrappedRows))}>
          Lines after {lineOf(to)}
        </Button>
      )}
    </div>
  );
}
