// The events as they are written down: one JSON object a line.
import { useState } from 'preact/hooks';
import { Button, Empty, Icon, Waiting, Wrong, marked } from '../../parts';
import { useEvents } from './events';
import type { TabProps } from './Task';

export function Raw({ task, iteration, iterations }: TabProps) {
  const [most, setMost] = useState(200);
  const [from, setFrom] = useState<number | null>(null);
  const one = iterations.find((each) => each.iteration === iteration);
  const first = from ?? one?.first_event ?? Math.max(1, (task.last_event ?? 0) - 99);
  const { events, loading, error, cut } = useEvents(task.id, first, one?.ended_at ? one.last_event : null, most);
  return (
    <div class="stack tight">
      <div class="line">
        {!one && first > 1 && (
          <Button small onClick={() => setFrom(Math.max(1, first - 200))}>
            Events before {first}
          </Button>
        )}
        <a class="button small quiet push" href={`/api/v1/tasks/${task.id}/events?limit=1000000`} download={`${task.id}.jsonl`}>
          <Icon name="download" />
          Download all as JSON lines
        </a>
      </div>
      {error && !events.length && <Wrong error={error} />}
      {loading && !events.length && <Waiting what="the events" />}
      {!loading && !events.length && !error && <Empty title="No event yet" command={`nightmill log ${task.id} --json`} />}
      <ol class="raw-events" tabIndex={0} aria-label="Events">
        {events.map((event) => {
          const text = JSON.stringify(event.data);
          return (
            <li key={event.number}>
              <span class="lines-number">{event.number}</span>
              <code>
                <span class="muted">{event.time}</span> <b>{event.type}</b> <span class="muted">{event.actor}</span> {marked(text.length > 3000 ? text.slice(0, 3000) : text)}
                {text.length > 3000 && <span class="cut-mark">{text.length - 3000} more characters</span>}
              </code>
            </li>
          );
        })}
      </ol>
      {cut && (
        <Button small onClick={() => setMost(most + 500)}>
          Later events
        </Button>
      )}
    </div>
  );
}
