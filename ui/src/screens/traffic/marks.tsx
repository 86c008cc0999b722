// Verdicts and outcomes: a shape, a word, a colour.
import { Icon, type IconName } from '../../parts';

const looks: Record<string, { word: string; icon: IconName; tone: string }> = {
  allowed: { word: 'Allowed', icon: 'check', tone: '' },
  tunnelled: { word: 'Passed unread', icon: 'eye', tone: 'muted' },
  denied: { word: 'Denied', icon: 'stop', tone: 'you' },
  failed: { word: 'Failed', icon: 'cross', tone: 'bad' },
  alarm: { word: 'Alarm', icon: 'warning', tone: 'bad' },
  served: { word: 'Served', icon: 'check', tone: '' },
  cached: { word: 'From memory', icon: 'check', tone: 'muted' },
  replayed: { word: 'Replayed', icon: 'check', tone: 'muted' },
  refused: { word: 'Refused', icon: 'stop', tone: 'you' },
  cancelled: { word: 'Cancelled', icon: 'cross', tone: 'muted' },
  open: { word: 'Under way', icon: 'state-working', tone: 'accent' },
  incomplete: { word: 'Incomplete', icon: 'warning', tone: 'you' },
};

export function Mark({ of, status }: { of: string; status?: number }) {
  const look = looks[of] ?? { word: of, icon: 'question' as const, tone: 'muted' };
  return (
    <span class={`state ${look.tone}`}>
      <Icon name={look.icon} />
      {look.word}
      {status ? <span class="mono muted">{status}</span> : null}
    </span>
  );
}
