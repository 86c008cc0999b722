// The first steps: a proven task before there is any key, then a model, then the first task of one's own. One step asks
// for something at a time; what is done says so.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { useCell } from '../../cell';
import { useData } from '../../live';
import { Button, Command, Cut, Icon, Outcome, StateMark, Used, Waiting, Wrong, isFinal } from '../../parts';
import { Link } from '../../router';
import type { ScreenProps } from '../../screens';
import { may, mayAsk } from '../../session';
import type { Schemas, Task, TaskShown } from '../../types';
import { Model } from '../login/Model';
import type { Providers } from '../models/types';
import { sample, sampleTask } from './sample';
import './first.css';

function Step({ n, title, done, children }: { n: number; title: string; done: boolean; children: ComponentChildren }) {
  return (
    <li class="first-step" aria-label={done ? `${title}, done` : title}>
      <h2>
        {done ? <Icon name="check" strong /> : <span class="mono muted">{n}</span>} {title}
      </h2>
      <div class="stack">{children}</div>
    </li>
  );
}

const again = (one: { type: string }) => one.type === 'task.state' || one.type === 'verdict' || one.type === 'iteration.finished' || one.type === 'delivered';

function Proof({ task, verdict }: { task: TaskShown; verdict: Schemas['TaskVerdict'] }) {
  return (
    <>
      <ul class="first-proof">
        {[verdict.words, verdict.proof_words, verdict.canary_words].filter(Boolean).map((words) => (
          <li key={words}>
            <Icon name="check" />
            <Cut text={words} most={400} />
          </li>
        ))}
        <li>
          <Icon name="money" />
          <span>
            <Used used={task.spent.total} limit={task.limits.money} currency={task.spent.currency} /> for {task.spent.requests} requests to a model: the answers of the sample are part of the program.
          </span>
        </li>
        <li>
          <Icon name="folder" />
          <span>
            The project is <bdi class="mono">{task.repo}</bdi>; the result is its branch <bdi class="mono">{task.branch}</bdi>.
          </span>
        </li>
      </ul>
      <div class="line">
        <Link class="button" to={`/tasks/${task.id}?tab=checks`}>
          See the proof
        </Link>
        <Link to={`/tasks/${task.id}?tab=changes`}>What it changed</Link>
        <Link to={`/tasks/${task.id}?tab=cost`}>The bill</Link>
      </div>
    </>
  );
}

function Watch({ id, onAgain }: { id: string; onAgain: () => Promise<void> }) {
  const topics = [`task:${id}`, 'tasks'];
  const when = (event: { type: string; task?: string }) => event.task === id && again(event);
  const task = useData<TaskShown>(`tasks/${id}`, { topics, when });
  const checks = useData<Schemas['TaskChecks']>(`tasks/${id}/checks`, { topics, when });
  if (task.error && !task.data)
    return task.error.status === 404 ? (
      <Button kind="primary" icon="play" onClick={onAgain}>
        Run the sample
      </Button>
    ) : (
      <Wrong error={task.error} retry={task.reload} />
    );
  if (!task.data) return <Waiting what="the sample" />;
  const verdicts = checks.data?.verdicts ?? [];
  const last = verdicts.at(-1);
  return (
    <>
      <p class="line" role="status">
        <StateMark state={task.data.state} /> <Link to={`/tasks/${id}`}>{task.data.title}</Link>
        {!isFinal(task.data.state) && (
          <span class="muted">
            iteration {task.data.iteration} of {task.data.iteration_limit}
          </span>
        )}
      </p>
      <ol class="first-verdicts">
        {verdicts.map((one) => (
          <li key={one.iteration}>
            Iteration {one.iteration}: <Outcome good={one.outcome === 'proven'} word={one.outcome === 'proven' ? 'Proven' : one.outcome === 'red' ? 'Red' : one.outcome} />{' '}
            <span class="muted">
              <Cut text={one.words} most={200} />
            </span>
          </li>
        ))}
      </ol>
      {task.data.state === 'done' && last?.outcome === 'proven' ? (
        <Proof task={task.data} verdict={last} />
      ) : isFinal(task.data.state) || task.data.state === 'needs_you' ? (
        <>
          <p>
            It did not come to its end on this machine: <Cut text={task.data.words} most={400} />. <Link to="/system">Health</Link> says what the machine lacks.
          </p>
          <Button icon="play" onClick={onAgain}>
            Run it again
          </Button>
        </>
      ) : null}
    </>
  );
}

export default function First(_: ScreenProps) {
  const id = useCell(sample);
  const shown = useData<Task>(`tasks/${id}`, { off: !id, topics: id ? [`task:${id}`] : [] });
  const providers = useData<Providers>('providers', { topics: ['models'], off: !mayAsk('providers_list') });
  const [added, setAdded] = useState(false);
  const known = added || (providers.data?.providers ?? []).some((one) => one.key.known && one.enabled);
  const proven = shown.data?.state === 'done';
  return (
    <div class="stack first">
      <div class="page-head">
        <h1>First steps</h1>
      </div>
      <ol class="first-steps">
        <Step n={1} title="See it work" done={proven}>
          <p class="muted">
            A small project of its own, and a task in it that goes red, then green. The model&#39;s words are canned; the agent, the sandbox, the checks and the verdict are real. It needs no key, costs nothing and takes less than a minute.
          </p>
          {id ? (
            <Watch id={id} onAgain={sampleTask} />
          ) : (
            <div class="line">
              <Button kind="primary" icon="play" why={may('member') ? null : 'Your role may look, not begin tasks'} onClick={sampleTask}>
                Run the sample
              </Button>
              <Command line="nightmill sample" />
            </div>
          )}
        </Step>
        <Step n={2} title="Connect a model" done={known}>
          {known ? (
            <p class="muted">
              A model can be asked. More of them, tiers and prices: <Link to="/models">Agents and models</Link>.
            </p>
          ) : !may('admin') ? (
            <p class="muted">An admin of this server does it.</p>
          ) : (
            <Model onDone={() => setAdded(true)} done="Done" />
          )}
        </Step>
        <Step n={3} title="Ask for something of your own" done={false}>
          <p class="muted">Name a git repository of this machine and say what should change. What will be checked and what it may cost is shown before it begins; your files are not touched.</p>
          <div class="line">
            <Link class={`button${proven && known ? ' primary' : ''}`} to="/new">
              <Icon name="plus" />
              New task
            </Link>
            <Command line={'nightmill run "Fix the failing test"'} />
          </div>
        </Step>
      </ol>
    </div>
  );
}
