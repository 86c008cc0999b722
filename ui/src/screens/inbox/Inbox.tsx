// The only queue that a person must empty: questions, and tasks that wait for a decision. Oldest first. j and k go up and
// down, a approves, d refuses.
import { useEffect, useRef } from 'preact/hooks';
import { useData } from '../../live';
import { Button, Empty, Waiting, Wrong } from '../../parts';
import { stored, useCell } from '../../cell';
import { Link } from '../../router';
import type { Approval, Task } from '../../types';
import { running, stats } from '../../shell/summary';
import { Answer } from './Answer';
import { Decide } from './Decide';
import './inbox.css';

const keysOn = stored<'on' | 'off'>('inbox-keys', 'on');

function useKeys(on: boolean) {
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    if (!on) return;
    const key = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || document.querySelector('dialog[open]')) return;
      const items = [...(list.current?.children ?? [])] as HTMLElement[];
      const at = items.findIndex((item) => item.contains(document.activeElement));
      if (event.key === 'j' || event.key === 'k') {
        const to = at < 0 ? 0 : Math.max(0, Math.min(items.length - 1, at + (event.key === 'j' ? 1 : -1)));
        items[to]?.focus();
      } else if (event.key === 'a' && at >= 0) items[at]!.querySelector<HTMLElement>('.answer-approve')?.click();
      else if (event.key === 'd' && at >= 0) items[at]!.querySelector<HTMLElement>('.answer-deny')?.click();
      else return;
      event.preventDefault();
    };
    window.addEventListener('keydown', key);
    return () => window.removeEventListener('keydown', key);
  }, [on]);
  return list;
}

export default function Inbox() {
  const approvals = useData<{ approvals: Approval[] }>('approvals', { query: { state: 'waiting' }, topics: ['approvals', 'tasks'], when: (event) => event.type.startsWith('gate.') || event.type === 'task.state' });
  const tasks = useData<{ tasks: Task[] }>('tasks', { query: { state: 'needs_you,paused', limit: 200 }, topics: ['tasks'] });
  const keys = useCell(keysOn);
  const all = useCell(stats);
  const list = useKeys(keys === 'on');
  const reload = () => {
    approvals.reload();
    tasks.reload();
  };
  if (approvals.error && !approvals.data) return <Wrong error={approvals.error} retry={reload} />;
  if (!approvals.data || (!tasks.data && !tasks.error)) return <Waiting what="what needs you" />;
  const title = (id: string) => tasks.data?.tasks.find((task) => task.id === id)?.title ?? '';
  const waiting = [...approvals.data.approvals].sort((a, b) => a.asked_at.localeCompare(b.asked_at));
  const others = (tasks.data?.tasks ?? []).filter((task) => (task.state === 'needs_you' || task.reason.startsWith('limit_')) && !waiting.some((one) => one.task === task.id)).sort((a, b) => a.changed_at.localeCompare(b.changed_at));
  const atWork = running(all);
  return (
    <div class="stack">
      <div class="page-head">
        <h1>Needs you</h1>
        {waiting.length + others.length > 0 && (
          <Button kind="quiet" small pressed={keys === 'on'} onClick={() => keysOn.set(keys === 'on' ? 'off' : 'on')}>
            <kbd>j</kbd> <kbd>k</kbd> <kbd>a</kbd> <kbd>d</kbd> {keys === 'on' ? 'on' : 'off'}
          </Button>
        )}
      </div>
      {!waiting.length && !others.length && (
        <Empty title="Nothing needs you" command="nightmill ls --state needs_you" action={<Link to="/tasks">To the tasks</Link>}>
          {atWork ? `${atWork === 1 ? '1 task is' : `${atWork} tasks are`} at work.` : 'No task is at work.'} Questions, approvals and limits that were reached appear here.
        </Empty>
      )}
      <ul class="inbox" ref={list}>
        {waiting.map((approval) => (
          <li key={approval.id} tabIndex={-1}>
            <Answer approval={approval} title={title(approval.task)} link onAnswered={reload} />
          </li>
        ))}
        {others.map((task) => (
          <li key={task.id} tabIndex={-1}>
            <Decide task={task} onDecided={reload} />
          </li>
        ))}
      </ul>
    </div>
  );
}
