// All work: a list, or the same as a board. Filters live in the address, so that they can be kept and shared. Rows change
// in place; what is new is announced by a pill instead of moving what is read. Older ones come as one scrolls.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../../api';
import { useCell } from '../../cell';
import { useData, useLive } from '../../live';
import { Button, Cut, Empty, Icon, Money, StateMark, Switch, Time, Waiting, Wrong, moneyRough, moneyText, stateWord } from '../../parts';
import { Link, navigate, setQuery } from '../../router';
import type { ScreenProps } from '../../screens';
import { stored } from '../../cell';
import type { Task } from '../../types';
import { LongTable, Near } from './LongTable';
import './tasks.css';
import type { Schemas } from '../../types';

type Page = Schemas['Tasks'];
type Counts = Schemas['TaskCounts'];

const size = 100;
const calm = 500; // milliseconds between events of rows below and their fetch
const burst = 20; // rows of one fetch
const layout = stored<'list' | 'board'>('tasks-layout', 'list');

const repoName = (repo: string) => repo.replace(/\/+$/, '').split('/').pop() || repo;

// The iterations so far as small blocks out of those that it may have.
function Blocks({ task }: { task: Task }) {
  const limit = task.iteration_limit;
  const shown = Math.min(limit || task.iteration, 30);
  if (!task.iteration || !shown) return null;
  const each = limit > 30 ? limit / 30 : 1;
  return (
    <span class="tasks-blocks" role="img" aria-label={`iteration ${task.iteration} of ${limit || 'any number'}`}>
      {Array.from({ length: shown }, (_, i) => (
        <i key={i} class={(i + 1) * each <= task.iteration ? 'on' : i * each < task.iteration ? 'now' : ''} />
      ))}
    </span>
  );
}

function Cost({ task }: { task: Task }) {
  if (!task.cost) return null;
  const limit = moneyRough(task.limits.money) > 0 ? task.limits.money : null;
  return (
    <span>
      <Money amount={task.cost.total} currency={limit ? undefined : task.cost.currency} />
      {limit && (
        <span class="muted mono">
          {' '}
          / {moneyText(limit)} {task.cost.currency}
        </span>
      )}
    </span>
  );
}

function Filters({ query, counts }: { query: URLSearchParams; counts: Counts | undefined }) {
  const state = query.get('state') ?? '';
  const [text, setText] = useState(query.get('text') ?? '');
  const now = useCell(layout);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text !== (query.get('text') ?? '')) setQuery({ text });
    }, 250);
    return () => clearTimeout(timer);
  }, [text]);
  const chip = (id: string, word: string, count: number | undefined) => (
    <Link key={id} to={id ? `?state=${id}` : '?'} class="tasks-chip" aria-current={state === id ? 'true' : undefined} onClick={(event) => {
      event.preventDefault();
      setQuery({ state: id }, { push: true });
    }}>
      {word} {count !== undefined && <span class="mono muted">{count}</span>}
    </Link>
  );
  return (
    <div class="line tasks-filters">
      <input type="search" aria-label="Search in title, text and id" placeholder="Search …" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      {now === 'list' && (
        <div class="line tasks-chips" role="group" aria-label="State">
          {chip('', 'All', counts?.all)}
          {chip('active', 'Open', counts?.active)}
          {['needs_you', 'working', 'queued', 'paused', 'done', 'unproven', 'failed', 'stopped'].map((one) => (counts?.states[one] || state === one ? chip(one, stateWord(one), counts?.states[one] ?? 0) : null))}
        </div>
      )}
      <span class="push" />
      <Switch label="Arrangement" now={now} onChoose={(id) => layout.set(id as 'list' | 'board')} choices={[{ id: 'list', title: 'List', icon: 'tasks' }, { id: 'board', title: 'Board', icon: 'board' }]} />
    </div>
  );
}

function useFilter(query: URLSearchParams) {
  return { repo: query.get('repo'), agent: query.get('agent'), text: query.get('text') };
}

function List({ query, counts }: { query: URLSearchParams; counts: Counts | undefined }) {
  const filter = { ...useFilter(query), state: query.get('state') };
  const first = useData<Page>('tasks', { query: { ...filter, limit: size }, topics: ['tasks'] });
  const [more, setMore] = useState<{ key: string; pages: Task[]; next?: number | null }>({ key: '', pages: [] });
  const key = JSON.stringify(filter);
  // Rows that are read do not move: what came after the page was opened waits behind a pill.
  const [top, setTop] = useState<{ key: string; number: number } | null>(null);
  const tasks = first.data?.tasks;
  useEffect(() => {
    if (tasks && top?.key !== key) setTop({ key, number: tasks[0]?.number ?? 0 });
  }, [tasks, key]);
  useEffect(() => setMore({ key, pages: [] }), [key]);

  const limit = top?.key === key ? top.number : Infinity;
  const fresh = tasks?.filter((task) => task.number > limit).length ?? 0;
  const seen = useMemo(() => {
    const head = (tasks ?? []).filter((task) => task.number <= limit);
    const last = head.at(-1)?.number ?? Infinity;
    return [...head, ...(more.key === key ? more.pages.filter((task) => task.number < last) : [])];
  }, [tasks, more, limit, key]);
  // Pages below the first are brought up to date one by one, as events name them.
  const stale = useRef(new Set<string>());
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const freshen = async () => {
    const ids = [...stale.current].slice(0, burst);
    for (const one of ids) stale.current.delete(one);
    const found = await Promise.all(ids.map((one) => get<Task>(`tasks/${one}`).catch(() => null)));
    const byId = new Map(found.filter((task) => task !== null).map((task) => [task.id, task]));
    setMore((old) => ({ ...old, pages: old.pages.map((one) => (byId.has(one.id) ? { ...one, ...byId.get(one.id)! } : one)) }));
    timer.current = stale.current.size ? setTimeout(freshen, calm) : null;
  };
  useEffect(() => () => clearTimeout(timer.current ?? undefined), []);
  useLive(['tasks'], (event) => {
    if (!event.task || !more.pages.some((task) => task.id === event.task)) return;
    stale.current.add(event.task);
    timer.current ??= setTimeout(freshen, calm);
  }, () => setMore({ key, pages: [] }));
  const busy = useRef(false);
  const older = async (before: number) => {
    if (busy.current) return;
    busy.current = true;
    try {
      const page = await get<Page>('tasks', { ...filter, limit: size, before });
      setMore((old) => ({ key, pages: [...(old.key === key ? old.pages : []), ...page.tasks], next: page.tasks.length ? page.next : null }));
    } finally {
      busy.current = false;
    }
  };

  if (first.error && !tasks) return <Wrong error={first.error} retry={first.reload} />;
  if (!tasks) return <Waiting what="tasks" />;
  const next = more.key === key && more.next !== undefined ? more.next : (first.data?.next ?? null);
  const filtered = Object.values(filter).some(Boolean);
  if (!seen.length && !fresh)
    return filtered ? (
      <Empty title="No task fits" action={<Button onClick={() => navigate('/tasks')}>Show all</Button>}>
        There are {counts?.all ?? 'other'} tasks that do not.
      </Empty>
    ) : (
      <Empty title="Nothing has been asked for yet" action={<Link class="button primary" to="/new"><Icon name="plus" />New task</Link>} command={'nightmill run "Fix the failing test" --repo .'}>
        Say what should change in a repository. An agent works on it in a sandbox, and it is done when the checks have proven it.
      </Empty>
    );
  return (
    <>
      {fresh > 0 && (
        <Button small onClick={() => setTop({ key, number: tasks[0]!.number })}>
          {fresh === 1 ? '1 new task' : `${fresh >= size ? `${size} or more` : fresh} new tasks`}
        </Button>
      )}
      <LongTable
        caption="Tasks, newest first"
        rows={seen}
        total={filter.state === 'active' ? (counts?.active ?? seen.length) : filter.state ? (counts?.states[filter.state] ?? seen.length) : (counts?.all ?? seen.length)}
        id={(task) => task.id}
        columns={[
          {
            name: 'Task',
            wide: true,
            cell: (task) => (
              <>
                <Link class="plain tasks-title" to={`/tasks/${task.id}`}>
                  <Cut text={task.title} most={200} />
                </Link>{' '}
                <span class="muted small mono">{task.id}</span>
              </>
            ),
          },
          { name: 'State', label: false, cell: (task) => <StateMark state={task.reason === 'undone' ? 'undone' : task.state} iteration={task.iteration} limit={task.iteration_limit} /> },
          { name: 'Iterations', label: false, cell: (task) => <Blocks task={task} /> },
          { name: 'Repository', cell: (task) => <bdi class="muted">{repoName(task.repo)}</bdi> },
          { name: 'Agent', cell: (task) => <bdi class="muted">{task.agent ?? task.model?.name ?? ''}</bdi> },
          { name: 'Cost', number: true, cell: (task) => <Cost task={task} /> },
          { name: 'Changed', number: true, cell: (task) => <Time at={task.changed_at} /> },
        ]}
        more={
          next !== null &&
          next > 0 && (
            <Near onNear={() => void older(next).catch(() => undefined)}>
              <Button small onClick={() => older(next)}>
                Older ones
              </Button>
            </Near>
          )
        }
      />
    </>
  );
}

const columns: { id: string; title: string; states: string }[] = [
  { id: 'needs_you', title: 'Needs you', states: 'needs_you' },
  { id: 'working', title: 'Working', states: 'working' },
  { id: 'checking', title: 'Checking', states: 'checking' },
  { id: 'queued', title: 'Queued', states: 'queued,paused' },
  { id: 'ended', title: 'Ended', states: 'done,unproven,failed,stopped' },
];

function BoardColumn({ column, query, count }: { column: (typeof columns)[number]; query: URLSearchParams; count: number | undefined }) {
  const page = useData<Page>('tasks', { query: { ...useFilter(query), state: column.states, limit: column.id === 'ended' ? 20 : 50 }, topics: ['tasks'] });
  return (
    <section class="tasks-column" aria-label={column.title}>
      <h2>
        {column.title} <span class="muted mono small">{count ?? ''}</span>
      </h2>
      {page.error && !page.data && <Wrong error={page.error} retry={page.reload} />}
      <ul>
        {page.data?.tasks.map((task) => (
          <li key={task.id} class="tasks-card">
            <Link class="plain tasks-title" to={`/tasks/${task.id}`}>
              <Cut text={task.title} most={140} />
            </Link>
            <span class="line small">
              <StateMark state={task.state} iteration={task.iteration} limit={task.iteration_limit} />
              <span class="muted push">
                <Time at={task.changed_at} how="age" />
              </span>
            </span>
            {!['done', 'unproven', 'failed', 'stopped'].includes(task.state) && <Blocks task={task} />}
            <span class="line small muted">
              <bdi>{repoName(task.repo)}</bdi>
              <bdi>{task.agent ?? ''}</bdi>
              <span class="push">
                <Cost task={task} />
              </span>
            </span>
          </li>
        ))}
      </ul>
      {page.data && page.data.tasks.length === 0 && <p class="muted small">None</p>}
      {page.data?.next ? <p class="small"><Link to={`/tasks?state=${column.states}`} onClick={() => layout.set('list')}>All of them</Link></p> : null}
    </section>
  );
}

export default function Tasks({ query }: ScreenProps) {
  const now = useCell(layout);
  const counts = useData<Counts>('tasks/counts', { query: useFilter(query), topics: ['tasks'] });
  const states = counts.data?.states;
  return (
    <div class="stack">
      <div class="page-head">
        <h1>Tasks</h1>
        <Link class="button primary" to="/new">
          <Icon name="plus" />
          New task
        </Link>
      </div>
      <Filters query={query} counts={counts.data} />
      {now === 'list' ? (
        <List query={query} counts={counts.data} />
      ) : (
        <div class="tasks-board" role="group" aria-label="Board" tabIndex={0}>
          {columns.map((column) => (
            <BoardColumn key={column.id} column={column} query={query} count={states && column.states.split(',').reduce((sum, one) => sum + (states[one] ?? 0), 0)} />
          ))}
        </div>
      )}
    </div>
  );
}
