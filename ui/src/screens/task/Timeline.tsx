// The iterations: one block each, with what it came to, how long it took, what it cost and changed. Choosing one scopes
// every tab to it; choosing it again, or All, takes that back.
import { Button, Icon, durationText, moneyText, type IconName } from '../../parts';
import { setQuery } from '../../router';
import type { Iteration } from '../../types';

function look(one: Iteration, working: boolean): { icon: IconName; tone: string; word: string } {
  if (!one.ended_at) return { icon: 'state-working', tone: 'accent', word: working ? 'at work' : 'open' };
  const outcome = one.outcome ?? '';
  if (outcome === 'proven' || outcome === 'done' || outcome === 'green') return { icon: 'state-done', tone: 'good', word: 'proven' };
  if (outcome === 'unproven') return { icon: 'state-unproven', tone: 'you', word: 'unproven' };
  return { icon: 'state-failed', tone: one.checks_failed || outcome === 'red' ? 'bad' : 'muted', word: outcome.replaceAll('_', ' ') || 'not green' };
}

export function Timeline({ iterations, limit, chosen, state }: { iterations: Iteration[]; limit: number; chosen: number | null; state: string }) {
  if (!iterations.length) return null;
  const key = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    const buttons = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('button.timeline-block')];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    buttons[Math.max(0, Math.min(buttons.length - 1, at + step))]?.focus();
    event.preventDefault();
  };
  return (
    <section class="timeline" aria-label={`Iterations, ${iterations.length} of ${limit || 'any number'}`}>
      <div class="timeline-blocks" role="group" onKeyDown={key} aria-label="Choose an iteration">
        {iterations.map((one) => {
          const as = look(one, state === 'working' || state === 'checking');
          const checks = one.checks_passed + one.checks_failed;
          const on = chosen === one.iteration;
          return (
            <button
              key={one.iteration}
              type="button"
              class={`timeline-block ${as.tone}`}
              aria-pressed={on}
              onClick={() => setQuery({ iteration: on ? null : String(one.iteration), line: null })}
            >
              <span class="line">
                <b class="mono">{one.iteration}</b>
                <span class={`state ${as.tone}`}>
                  <Icon name={as.icon} strong />
                  {as.word}
                </span>
                {one.same_failure > 1 && <span class="small you">same failure, {one.same_failure} times</span>}
              </span>
              <span class="small mono muted">
                {one.ended_at ? durationText(one.ms) : ''} {one.cost ? `· ${moneyText(one.cost)}` : ''}
              </span>
              <span class="small mono muted">
                {checks > 0 && `${one.checks_passed}/${checks} checks`}
                {one.files > 0 && (
                  <>
                    {checks > 0 && ' · '}
                    <span class="good">+{one.added}</span> <span class="bad">−{one.removed}</span>
                  </>
                )}
              </span>
            </button>
          );
        })}
      </div>
      {chosen !== null && (
        <Button small kind="quiet" icon="cross" onClick={() => setQuery({ iteration: null, line: null })}>
          Show all iterations, not only {chosen}
        </Button>
      )}
    </section>
  );
}
