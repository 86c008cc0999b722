// What happened, in plain words and with the way to the evidence. It is written from events, not from what a model says
// about itself; the agent's own words stand as quotes.
import { useState } from 'preact/hooks';
import { Banner, Button, Cut, Empty, Icon, Time, Waiting, Wrong, durationText, moneyText, type IconName } from '../../parts';
import { Link } from '../../router';
import type { Iteration, TaskEvent } from '../../types';
import { useEvents } from './events';
import type { TabProps } from './Task';

interface Step {
  icon: IconName;
  tone?: string;
  words: string;
  quote?: string;
  to?: string; // evidence
  toWords?: string;
}
const text = (data: Record<string, unknown>, name: string): string => (typeof data[name] === 'string' ? (data[name] as string) : typeof data[name] === 'number' ? String(data[name]) : '');
const list = (data: Record<string, unknown>, name: string): unknown[] => (Array.isArray(data[name]) ? (data[name] as unknown[]) : []);

// null: not worth a line of its own.
function step(event: TaskEvent): Step | null {
  const { type, data } = event;
  const get = (name: string) => text(data, name);
  switch (type) {
    case 'task.created':
      return { icon: 'plus', words: `The task was asked for, with ${list(data, 'checks').length} ${list(data, 'checks').length === 1 ? 'check' : 'checks'}.` };
    case 'setup.started':
      return { icon: 'play', words: `Sets up: ${get('command')}` };
    case 'setup.finished':
      return get('exit_code') === '0' ? null : { icon: 'warning', tone: 'bad', words: `The set-up ended with ${get('exit_code') || get('signal')}: ${get('command')}`, to: '?tab=log', toWords: 'its output' };
    case 'iteration.started':
      return { icon: 'state-working', tone: 'accent', words: `Iteration ${get('iteration')} of ${get('limit') || 'any number'} begins.` };
    case 'agent.text':
    case 'agent.note':
    case 'message':
      return { icon: 'right', words: '', quote: get('text') };
    case 'tool.finished':
      return { icon: data['exit_code'] && data['exit_code'] !== 0 ? 'cross' : 'right', words: get('summary') || get('name') };
    case 'agent.error':
    case 'agent.warning':
    case 'agent.interrupted':
      return { icon: 'warning', tone: 'you', words: get('text') || get('words') };
    case 'agent.finished':
      return { icon: 'state-done', words: `The agent ended its turn${get('end') && get('end') !== 'done' ? ` (${get('end').replaceAll('_', ' ')})` : ''}.`, quote: get('summary') };
    case 'iteration.committed':
      return { icon: 'check', words: `Its work is commit ${get('commit').slice(0, 10)}: ${get('files')} ${get('files') === '1' ? 'file' : 'files'}, +${get('added')} −${get('removed')}.`, to: '?tab=changes', toWords: 'the changes' };
    case 'verdict': {
      const good = get('outcome') === 'proven' || get('outcome') === 'done' || get('outcome') === 'green';
      return { icon: good ? 'state-done' : 'state-failed', tone: good ? 'good' : 'bad', words: get('words') || get('outcome'), to: '?tab=checks', toWords: 'the checks' };
    }
    case 'gate.waiting':
      return { icon: 'state-you', tone: 'you', words: `The ${get('gate')} waits for an approval.` };
    case 'gate.answered':
      return { icon: 'check', words: `The ${get('gate')} was ${get('outcome')}.`, quote: get('answer') };
    case 'hint.added':
      return { icon: 'people', words: 'A person gave a hint.', quote: get('text') };
    case 'control':
      return { icon: 'people', words: `${get('verb').replaceAll('_', ' ')} was asked for${get('by') ? ` by ${get('by')}` : ''}.` };
    case 'backoff':
      return { icon: 'clock', words: `Waits ${get('seconds')} s: ${get('words')}` };
    case 'budget.soft':
      return { icon: 'money', tone: 'you', words: `A budget (${get('scope')}) is at ${get('percent')} %.` };
    case 'hook.finished':
      return { icon: get('exit_code') === '0' ? 'check' : 'warning', words: `Hook after ${get('when')}: ${get('words') || get('command')}` };
    case 'delivered':
      return { icon: 'state-done', tone: 'good', words: get('words') || `Delivered on the branch ${get('branch')}.` };
    case 'task.undone':
    case 'undo.refused':
      return { icon: 'undo', tone: type === 'undo.refused' ? 'you' : '', words: get('words') };
    case 'task.state': {
      const state = get('state');
      if (state === 'working' || state === 'checking' || state === 'queued') return null;
      return { icon: state === 'done' ? 'state-done' : state === 'needs_you' ? 'state-you' : state === 'paused' ? 'state-paused' : 'state-stopped', tone: state === 'done' ? 'good' : state === 'needs_you' ? 'you' : state === 'failed' ? 'bad' : '', words: get('words') || state.replaceAll('_', ' ') };
    }
    default:
      return null;
  }
}

// The newest of them; the earlier ones when they are asked for. live: more may come.
function Steps({ task, first, end, live }: { task: string; first: number; end: number; live: boolean }) {
  const { events, loading, error, earlier, more } = useEvents(task, first, end, live, 200);
  const steps: { event: TaskEvent; step: Step }[] = [];
  for (const event of events) {
    const made = step(event);
    if (made && (made.words || made.quote)) steps.push({ event, step: made });
  }
  if (error && !events.length) return <Wrong error={error} />;
  if (loading && !events.length) return <Waiting what="the story" />;
  return (
    <>
      {earlier > 0 && (
        <Button small onClick={more}>
          Earlier steps
        </Button>
      )}
      <ol class="story-steps">
        {steps.map(({ event, step: one }) => (
          <li key={event.number} class={one.tone}>
            <Icon name={one.icon} />
            <div>
              {one.words && <Cut text={one.words} most={600} />}
              {one.quote && (
                <blockquote>
                  <Cut text={one.quote} most={1500} />
                </blockquote>
              )}
              {one.to && (
                <>
                  {' '}
                  <Link to={one.to} class="small">
                    {one.toWords}
                  </Link>
                </>
              )}
            </div>
            <span class="small muted mono">
              <Time at={event.time} how="clock" />
            </span>
          </li>
        ))}
      </ol>
      {error && events.length > 0 && <p class="small muted">What comes next could not be fetched yet.</p>}
    </>
  );
}

// until: its last event, also while it is at work when a scope ends there.
function Round({ one, task, until, live, open: first }: { one: Iteration; task: string; until: number; live: boolean; open: boolean }) {
  const [open, setOpen] = useState(first);
  const good = one.outcome === 'proven' || one.outcome === 'done' || one.outcome === 'green';
  const facts = [
    one.ended_at ? durationText(one.ms) : 'at work',
    one.files ? `${one.files} ${one.files === 1 ? 'file' : 'files'}, +${one.added} −${one.removed}` : '',
    one.checks_passed + one.checks_failed ? `${one.checks_passed} of ${one.checks_passed + one.checks_failed} checks passed` : '',
    one.cost ? `${moneyText(one.cost)} ${one.currency}` : '',
  ].filter(Boolean);
  return (
    <details class="story-round" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <h2>
          Iteration {one.iteration}
          {one.ended_at && (
            <>
              {': '}
              <span class={good ? 'good' : one.outcome === 'red' ? 'bad' : ''}>{(one.outcome ?? '').replaceAll('_', ' ')}</span>
            </>
          )}
        </h2>
        <span class="small muted mono">{facts.join(' · ')}</span>
        {one.words && (
          <p>
            <Cut text={one.words} most={400} />
          </p>
        )}
      </summary>
      {open && one.first_event > 0 && <Steps task={task} first={one.first_event} end={until} live={live} />}
    </details>
  );
}

export function Story({ task, iteration, iterations: all, scope }: TabProps) {
  const newest = Math.min(task.last_event ?? 0, scope?.to ?? Infinity);
  // Of a scope, what falls into it.
  const iterations = scope ? all.filter((one) => one.first_event <= scope.to && (!one.ended_at || one.last_event >= scope.from)) : all;
  const round = (one: Iteration, open: boolean) => (
    <Round
      key={`${one.iteration} ${scope?.from} ${scope?.to}`}
      one={scope ? { ...one, first_event: Math.max(one.first_event, scope.from) } : one}
      task={task.id}
      until={one.ended_at ? Math.min(one.last_event, newest) : newest}
      live={!one.ended_at && !scope}
      open={open}
    />
  );
  const chosen = iterations.find((one) => one.iteration === iteration);
  if (chosen) return round(chosen, true);
  const firstEvent = iterations[0]?.first_event;
  const last = iterations.at(-1);
  return (
    <div class="stack">
      {task.text && task.text.trim() !== task.title.trim() && (
        <Banner>
          <div class="small muted">What was asked</div>
          <pre class="story-asked">
            <Cut text={task.text} most={6000} />
          </pre>
        </Banner>
      )}
      {!iterations.length && task.state === 'queued' ? (
        <Empty title="It waits for its turn">The story begins when the task does. Other tasks are at work before it.</Empty>
      ) : (
        <>
          <Steps task={task.id} first={scope?.from ?? 1} end={firstEvent ? firstEvent - 1 : newest} live={!firstEvent && !scope} />
          {iterations.map((one) => round(one, !!scope || one === last))}
          {last?.ended_at && <Steps task={task.id} first={Math.max(last.last_event + 1, scope?.from ?? 1)} end={newest} live={!scope} />}
        </>
      )}
    </div>
  );
}
