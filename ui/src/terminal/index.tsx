// The Terminal tab of a task: which terminal, and the frame that shows it.
import { useState } from 'preact/hooks';
import { stored, useCell } from '../cell';
import { Command } from '../parts';
import './terminal.css';

type What = 'shell' | 'watch' | 'agent';
const whats: { what: What; title: string }[] = [
  { what: 'shell', title: 'Shell in the sandbox' },
  { what: 'watch', title: 'Look on at the shell' },
  { what: 'agent', title: 'What the agent prints' },
];
const reader = stored<string>('terminal-reader', 'off');

export default function Terminal({ taskId }: { taskId: string }) {
  const [what, setWhat] = useState<What>('shell');
  const [session, setSession] = useState('1');
  const read = useCell(reader) === 'on';
  const query = new URLSearchParams({
    task: taskId,
    session,
    what: what === 'agent' ? 'agent' : 'shell',
    watch: what === 'watch' ? '1' : '0',
    reader: read ? '1' : '0',
    theme: document.documentElement.dataset['theme'] ?? '',
  }).toString();
  const command = `nightmill shell ${taskId}${session === '1' || what === 'agent' ? '' : ` --session ${session}`}${what === 'watch' ? ' --read-only' : what === 'agent' ? ' --agent' : ''}`;
  return (
    <section class="terminal" aria-label="Terminal">
      <div class="terminal-bar">
        <label>
          Show
          <select value={what} onChange={(event) => setWhat(event.currentTarget.value as What)}>
            {whats.map((one) => (
              <option key={one.what} value={one.what}>
                {one.title}
              </option>
            ))}
          </select>
        </label>
        {what !== 'agent' && (
          <label>
            Terminal
            <select value={session} onChange={(event) => setSession(event.currentTarget.value)}>
              {['1', '2', '3', '4'].map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
        )}
        <label>
          <input type="checkbox" checked={read} onChange={(event) => reader.set(event.currentTarget.checked ? 'on' : 'off')} />
          Screen reader
        </label>
      </div>
      <iframe key={query} class="terminal-frame" title={`Terminal of task ${taskId}`} src={`/terminal.html?${query}`} allow="clipboard-read; clipboard-write" />
      <Command line={command} />
    </section>
  );
}
