// The events as they are written down: one JSON object a line.
import { Button, Empty, Icon, Waiting, Wrong, marked } from '../../parts';
import { useEvents } from './events';
import type { TabProps } from './Task';

export function Raw({ task, iteration, iterations, scope }: TabProps) {
  const one = iterations.find((each) => each.iteration === iteration);
  const end = Math.min(scope?.to ?? Infinity, one?.ended_at ? one.last_event : (task.last_event ?? 0));
  const { events, loading, error, earlier, more } = useEvents(task.id, Math.max(scope?.from ?? 1, one?.first_event ?? 1), end, !one?.ended_at && !scope, 100);
  return (
    <div class="stack tight">
      <div class="line">
        {earlier > 0 && (
          <Button small onClick={more}>
            Events before {events[0]?.number}
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
    </div>
  );
}
