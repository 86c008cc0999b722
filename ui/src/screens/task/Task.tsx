// One piece of work: what was asked, how it stands, its iterations, and the proof. The chosen iteration and tab are in
// the address.
import type { ComponentType } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { post } from '../../api';
import { stored, useCell } from '../../cell';
import { present, useData, useLive, viewers, liveStatus } from '../../live';
import { Banner, Button, Copy, Cut, Dialog, Duration, Empty, Field, Icon, StateMark, Tabs, Time, Used, Waiting, Wrong, isFinal, moneyRough, toast, Money } from '../../parts';
import { Link, setQuery } from '../../router';
import type { ScreenProps } from '../../screens';
import { may } from '../../session';
import { offer } from '../../shell/Palette';
import type { Iteration, TaskShown } from '../../types';
import { Answer } from '../inbox/Answer';
import { Changes } from './Changes';
import { Checks } from './Checks';
import { Cost } from './Cost';
import { Files } from './Files';
import { Log } from './Log';
import { Raw } from './Raw';
import { Replay } from './Replay';
import { Resume } from './Resume';
import { Story } from './Story';
import { Timeline } from './Timeline';
import './task.css';

export interface TabProps {
  task: TaskShown;
  iteration: number | null; // null: all of them
  iterations: Iteration[];
  scope: Scope | null;
  query: URLSearchParams;
}
// Events that a person keeps to, chosen in Replay: `from` and `to` in the address. null: all of them.
export interface Scope {
  from: number;
  to: number;
}
type TabBody = ComponentType<TabProps>;

// The terminal comes with its own library and is fetched when it is looked at.
const terminals = import.meta.glob<{ default: ComponentType<{ taskId: string }> }>('../../terminal/index.tsx');
const terminal = Object.values(terminals)[0];
function TerminalTab({ task }: TabProps) {
  const [Body, setBody] = useState<ComponentType<{ taskId: string }> | null>(null);
  useEffect(() => {
    void terminal?.().then((module) => setBody(() => module.default));
  }, []);
  return Body ? <Body taskId={task.id} /> : <Waiting what="the terminal" />;
}

// commits: it shows what an iteration left, so a scope is shown as of its end.
const bodies: { id: string; title: string; body: TabBody; commits?: boolean }[] = [
  { id: 'story', title: 'Story', body: Story },
  { id: 'log', title: 'Log', body: Log },
  { id: 'changes', title: 'Changes', body: Changes, commits: true },
  { id: 'checks', title: 'Checks', body: Checks, commits: true },
  { id: 'cost', title: 'Cost', body: Cost },
  ...(terminal ? [{ id: 'terminal', title: 'Terminal', body: TerminalTab }] : []),
  { id: 'replay', title: 'Replay', body: Replay },
  { id: 'files', title: 'Files', body: Files, commits: true },
  { id: 'raw', title: 'Raw', body: Raw },
];
function scopeRead(query: URLSearchParams, last: number): Scope | null {
  const from = Math.max(1, Number(query.get('from')) || 1);
  const to = Math.min(last, Number(query.get('to')) || last);
  return (query.has('from') || query.has('to')) && from <= to ? { from, to } : null;
}
function ScopeLine({ scope, asOf, commits }: { scope: Scope; asOf: number | null; commits: boolean }) {
  return (
    <Banner
      icon="clock"
      actions={
        <>
          <Button small onClick={() => setQuery({ tab: 'replay' })}>
            Change
          </Button>
          <Button small icon="cross" onClick={() => setQuery({ from: null, to: null })}>
            Show all
          </Button>
        </>
      }
    >
      {commits ? (
        <>
          As of event {scope.to}{asOf ? `: what iteration ${asOf} left` : ''}.
        </>
      ) : (
        <>
          Only events {scope.from} to {scope.to} of this task.
        </>
      )}
    </Banner>
  );
}
const lastTab = stored<string>('task-tab', 'story');

function HintDialog({ task, open, onClose, first }: { task: TaskShown; open: boolean; onClose: () => void; first: string }) {
  // What was begun survives a reload, and is the same in every tab of this browser.
  const draft = useMemo(() => stored<string>(`hint-${task.id}`, ''), [task.id]);
  const text = useCell(draft);
  const setText = (next: string) => draft.set(next);
  useEffect(() => {
    if (open && first && !draft.value.includes(first)) setText(draft.value ? `${draft.value}\n\n${first}` : first);
  }, [first, open]);
  return (
    <Dialog open={open} title="Hint for the agent" onClose={onClose}>
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          if (!text.trim()) return;
          try {
            await post(`tasks/${task.id}/hint`, { text });
            toast('The agent reads it at its next step');
            setText('');
            onClose();
          } catch (error) {
            toast((error as { words?: string }).words ?? String(error), { kind: 'bad' });
          }
        }}
      >
        <Field name="Words" help="It is added to what the agent knows. A task that waits for a person goes on with it.">
          {(id) => <textarea {...id} rows={5} value={text} autofocus onInput={(event) => setText(event.currentTarget.value)} />}
        </Field>
        <div class="actions">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button kind="primary" type="submit">
            Send
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

// Others that look at the same task right now.
function Others({ id }: { id: string }) {
  const all = useCell(viewers);
  const { client } = useCell(liveStatus);
  const names = [...new Set(all.filter((one) => one.at === `task:${id}` && one.client !== client).map((one) => one.user || 'somebody'))];
  if (!names.length) return null;
  return (
    <span class="muted small">
      <Icon name="eye" /> <Cut text={names.join(', ')} most={80} /> {names.length === 1 ? 'is' : 'are'} here too
    </span>
  );
}

function Undo({ task, reload }: { task: TaskShown; reload: () => void }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button icon="undo" onClick={() => setOpen(true)}>
        Undo
      </Button>
      <Dialog open={open} title={`Undo task ${task.id}`} onClose={() => setOpen(false)}>
        <div class="body">
          <p>
            The branch <bdi class="mono">{task.branch || 'of this task'}</bdi> {task.applied ? 'and what was put into your files are' : 'is'} taken away. The log, the changes and the bill stay. It is refused when you have
            built on it since.
          </p>
          <div class="actions">
            <Button kind="quiet" onClick={() => setOpen(false)}>
              Cancel
            </Button>
            <Button
              kind="danger"
              onClick={async () => {
                await post(`tasks/${task.id}/undo`);
                setOpen(false);
                toast('It is being taken back');
                reload();
              }}
            >
              Undo this task
            </Button>
          </div>
        </div>
      </Dialog>
    </>
  );
}

function Actions({ task, reload, onHint }: { task: TaskShown; reload: () => void; onHint: () => void }) {
  if (!may('member')) return null;
  const act = (verb: string, words: string, undo?: { words: string; verb: string }) => async () => {
    await post(`tasks/${task.id}/${verb}`);
    toast(words, undo ? { action: { words: undo.words, do: () => post(`tasks/${task.id}/${undo.verb}`) } } : {});
    reload();
  };
  const atWork = ['working', 'checking', 'queued'].includes(task.state);
  return (
    <span class="line">
      {atWork && (
        <Button icon="pause" onClick={act('pause', 'It pauses at its next step', { words: 'Resume', verb: 'resume' })}>
          Pause
        </Button>
      )}
      {!isFinal(task.state) && (
        <Button icon="stop" onClick={act('stop', 'Stopped; its work is kept')}>
          Stop
        </Button>
      )}
      {!isFinal(task.state) && <Button onClick={onHint}>Hint</Button>}
      {(task.state === 'done' || task.state === 'unproven' || task.state === 'stopped') && task.commit && task.reason !== 'undone' && <Undo task={task} reload={reload} />}
      {isFinal(task.state) && (
        <Link class="button" to={`/new?repo=${encodeURIComponent(task.repo)}&text=${encodeURIComponent(task.text ?? task.title)}`}>
          Again
        </Link>
      )}
    </span>
  );
}

function reasonBanner(task: TaskShown) {
  if (task.state === 'needs_you') return { kind: 'you' as const, icon: 'state-you' as const };
  if (task.state === 'paused') return { kind: undefined, icon: 'state-paused' as const };
  if (task.state === 'failed') return { kind: 'bad' as const, icon: 'state-failed' as const };
  if (task.state === 'unproven') return { kind: 'you' as const, icon: 'state-unproven' as const };
  if (task.state === 'done' && task.reason !== 'undone') return { kind: 'good' as const, icon: 'state-done' as const };
  return null;
}

function Notice({ task, reload }: { task: TaskShown; reload: () => void }) {
  const waiting = task.approvals.find((one) => one.outcome === '' || one.outcome === 'waiting');
  if (task.state === 'needs_you' && waiting) return <Answer approval={waiting} title={task.title} onAnswered={reload} />;
  const look = reasonBanner(task);
  if (!look || !task.words) return null;
  const resumable = may('member') && (task.state === 'needs_you' || task.state === 'paused');
  return (
    <Banner {...(look.kind ? { kind: look.kind } : {})} icon={look.icon} role="status">
      <Cut text={task.words.charAt(0).toUpperCase() + task.words.slice(1)} />
      {resumable && <Resume task={task} onDone={reload} />}
    </Banner>
  );
}

function Facts({ task }: { task: TaskShown }) {
  const agent = task.agent || task.model?.name || '';
  const limit = moneyRough(task.limits.money) > 0 ? task.limits.money : null;
  const facts: [string, preact.ComponentChildren][] = [
    ['Cost', limit ? <Used used={task.spent.total} limit={limit} currency={task.spent.currency} /> : task.spent.unpriced && moneyRough(task.spent.total) === 0 ? <Money amount={null} /> : <Money amount={task.spent.total} currency={task.spent.currency} />],
    ['Iterations', <span class="mono">{task.iteration} <span class="muted">/ {task.iteration_limit || 'no limit'}</span></span>],
    ['Worked', <Duration ms={task.worked_s * 1000} />],
    ['Repository', <bdi class="mono">{task.repo}</bdi>],
    ['Agent', <bdi>{agent}{task.agent && task.model?.name ? <span class="muted"> with {task.model.name}</span> : null}</bdi>],
    ...(task.branch ? [['Branch', <span class="mono"><bdi>{task.branch}</bdi></span>] as [string, preact.ComponentChildren]] : []),
    ['Asked', <Time at={task.created_at} />],
  ];
  return (
    <dl class="task-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export default function Task({ params, query }: ScreenProps) {
  const id = params['id']!;
  const topics = useMemo(() => [`task:${id}`], [id]);
  // Costs change the header, words of the agent do not.
  const milestone = (event: { type: string }) => !/^(agent\.(text|note)|tool\.)/.test(event.type);
  const shown = useData<TaskShown>(`tasks/${id}`, { topics, when: milestone });
  const rounds = useData<{ iterations: Iteration[] }>(`tasks/${id}/iterations`, { topics, when: milestone });
  const kept = useCell(lastTab);
  const [hint, setHint] = useState<string | null>(null);
  const asked = query.get('tab') ?? kept;
  const tab = bodies.find((one) => one.id === asked) ?? bodies[0]!;
  const iterations = rounds.data?.iterations ?? [];
  const wanted = Number(query.get('iteration')) || null;
  const iteration = wanted && iterations.some((one) => one.iteration === wanted) ? wanted : null;
  const task = shown.data;

  useLive(['presence'], () => undefined, () => undefined);
  useEffect(() => {
    present(`task:${id}`);
    return () => present('');
  }, [id]);
  useEffect(() => {
    if (task) document.title = `${task.title.slice(0, 60)} · Nightmill`;
  }, [task?.title]);
  const choose = (to: string) => {
    lastTab.set(to);
    setQuery({ tab: to, line: null, path: null, kind: null });
  };
  useEffect(
    () =>
      offer([
        ...bodies.map((one) => ({ id: `tab-${one.id}`, title: `${one.title} of this task`, icon: 'right' as const, aside: id, words: '', do: () => choose(one.id) })),
        { id: 'hint', title: 'Give this task a hint', icon: 'right' as const, aside: id, words: '', do: () => setHint('') },
      ]),
    [id],
  );
  useEffect(() => {
    const ask = (event: Event) => setHint((event as CustomEvent<string>).detail);
    window.addEventListener('nightmill-hint', ask);
    return () => window.removeEventListener('nightmill-hint', ask);
  }, []);

  if (shown.error && !task)
    return shown.error.status === 404 ? (
      <Empty title="There is no such task" action={<Link to="/tasks">To the tasks</Link>}>
        No task has the id {id}.
      </Empty>
    ) : (
      <Wrong error={shown.error} retry={shown.reload} />
    );
  if (!task) return <Waiting what="the task" />;
  const reload = () => {
    shown.reload();
    rounds.reload();
  };
  const Body = tab.body;
  const scope = scopeRead(query, task.last_event ?? 0);
  const asOf = (scope && iterations.findLast((one) => one.first_event <= scope.to)?.iteration) ?? null;
  return (
    <div class="stack task">
      <div class="stack tight">
        <div class="line small muted">
          <Link to="/tasks" class="plain">
            Tasks
          </Link>
          <span aria-hidden="true">/</span>
          <span class="mono">{task.id}</span>
          <Copy text={`nightmill show ${task.id}`} what="the command line of this task" />
          <Others id={id} />
        </div>
        <div class="page-head task-head">
          <h1>
            <Cut text={task.title} most={300} />
          </h1>
          <StateMark state={task.reason === 'undone' ? 'undone' : task.state} iteration={task.iteration} limit={task.iteration_limit} />
          <Actions task={task} reload={reload} onHint={() => setHint('')} />
        </div>
        <Facts task={task} />
      </div>
      <Notice task={task} reload={reload} />
      <Timeline iterations={iterations} limit={task.iteration_limit} chosen={iteration} state={task.state} />
      <div class="task-body">
        <Tabs tabs={bodies.map(({ id: tabId, title }) => ({ id: tabId, title }))} now={tab.id} onChoose={choose} label="Views of this task" />
        <div role="tabpanel" id={`panel-${tab.id}`} aria-labelledby={`tab-${tab.id}`} class="task-panel" tabIndex={-1}>
          {scope && tab.id !== 'replay' && tab.id !== 'terminal' && <ScopeLine scope={scope} asOf={asOf} commits={!!tab.commits} />}
          {rounds.loading ? <Waiting what="the iterations" /> : <Body task={task} iteration={iteration ?? (tab.commits ? asOf : null)} iterations={iterations} scope={scope} query={query} key={tab.id} />}
        </div>
      </div>
      <HintDialog task={task} open={hint !== null} first={hint ?? ''} onClose={() => setHint(null)} />
    </div>
  );
}
