// The status strip: is what I see true, what is at work, what does it cost, does anything need me.
import { useCell } from '../cell';
import { liveStatus } from '../live';
import { Button, Icon, Money, Used, agoText, clock } from '../parts';
import { Link } from '../router';
import { may, session } from '../session';
import { pauseAll } from './deeds';
import { paletteOpen } from './Palette';
import { cap, running, stats } from './summary';

function Connection() {
  const status = useCell(liveStatus);
  const now = useCell(clock);
  if (status.state === 'open') return (
      <span class="wide live muted">
        live{now - status.lastAt > 20_000 ? `, last word ${agoText(now - status.lastAt)} ago` : ''}
      </span>
    );
  const since = status.lastAt ? `, last update ${agoText(now - status.lastAt)} ago` : '';
  return <span class="lost" role="status">{status.lastAt ? `reconnecting${since}` : 'connecting …'}</span>;
}

export function Strip() {
  const all = useCell(stats);
  useCell(session);
  const limit = useCell(cap);
  const atWork = running(all);
  const needs = all?.need_you ?? 0;
  return (
    <header class="strip">
      <Link to="/" class="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M16 15 24 5l3 3-10 8 10 8-3 3-8-10-8 10-3-3 10-8L5 8l3-3z" fill="currentColor" />
        </svg>
        <span>Nightmill</span>
        <b class="hidden">, to the first page</b>
      </Link>
      {needs > 0 && (
        <Link to="/needs-you" class="needs">
          <Icon name="state-you" />
          {needs} {needs === 1 ? 'needs' : 'need'} you
        </Link>
      )}
      {all && (
        <Link to="/tasks?state=active">
          <span>
            {atWork} at work<span class="wide">{all.tasks.states['queued'] ? `, ${all.tasks.states['queued']} queued` : ''}</span>
          </span>
        </Link>
      )}
      {all?.today && (
        <Link to="/money" class="today">
          <span class="word">today</span> {all.today.costs.length ? all.today.costs.map((one) => <Money key={one.currency} amount={one.cost} currency={one.currency} />) : <span class="mono">0.00</span>}
        </Link>
      )}
      {limit && (
        <Link to="/money" class="wide">
          {limit.window === 'total' ? 'in all' : `this ${limit.window === 'two_weeks' ? 'fortnight' : limit.window}`} <Used used={limit.used} limit={limit.money} currency={limit.currency} />
        </Link>
      )}
      <Connection />
      <span class="push" />
      {all && atWork > 0 && may('member') && (
        <Button small kind="quiet" icon="pause" onClick={pauseAll}>
          <span class="wide">Pause everything</span>
          <span class="hidden">Pause everything</span>
        </Button>
      )}
      <button type="button" class="button quiet small find" onClick={() => paletteOpen.set(true)} aria-label="Go to or do" aria-keyshortcuts="Control+K">
        <Icon name="search" />
        <span>Go to or do</span> <kbd>Ctrl K</kbd>
      </button>
    </header>
  );
}
