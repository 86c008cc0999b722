// The state of a task: one word, a shape of its own, a colour. Green only after proof, red only for broken now.
import { Icon, type IconName } from './Icon';

export type TaskState = 'queued' | 'working' | 'checking' | 'needs_you' | 'paused' | 'done' | 'unproven' | 'stopped' | 'failed';
interface Look {
  word: string;
  icon: IconName;
  tone: '' | 'good' | 'bad' | 'you' | 'muted' | 'accent';
}
const looks: Record<string, Look> = {
  queued: { word: 'Queued', icon: 'state-queued', tone: 'muted' },
  working: { word: 'Working', icon: 'state-working', tone: 'accent' },
  checking: { word: 'Checking', icon: 'state-checking', tone: 'accent' },
  needs_you: { word: 'Needs you', icon: 'state-you', tone: 'you' },
  paused: { word: 'Paused', icon: 'state-paused', tone: 'muted' },
  done: { word: 'Done', icon: 'state-done', tone: 'good' },
  unproven: { word: 'Unproven', icon: 'state-unproven', tone: 'you' },
  stopped: { word: 'Stopped', icon: 'state-stopped', tone: 'muted' },
  failed: { word: 'Failed', icon: 'state-failed', tone: 'bad' },
  undone: { word: 'Rolled back', icon: 'state-undone', tone: 'muted' },
};
export const stateWord = (state: string): string => looks[state]?.word ?? state.replaceAll('_', ' ');
export const openStates = ['needs_you', 'working', 'checking', 'queued', 'paused'];
export const isFinal = (state: string): boolean => ['done', 'unproven', 'stopped', 'failed'].includes(state);

export function StateMark({ state, iteration, limit }: { state: string; iteration?: number | undefined; limit?: number | undefined }) {
  const look = looks[state] ?? { word: stateWord(state), icon: 'state-queued' as const, tone: 'muted' as const };
  return (
    <span class={`state ${look.tone}`} data-state={state}>
      <Icon name={look.icon} strong={look.tone === 'good' || look.tone === 'bad'} />
      {look.word}
      {state === 'working' && iteration ? (
        <span class="mono">
          {iteration}/{limit || '∞'}
        </span>
      ) : null}
    </span>
  );
}

// What a check or an iteration came to.
export function Outcome({ good, word }: { good: boolean | null; word: string }) {
  return (
    <span class={`state ${good === null ? 'muted' : good ? 'good' : 'bad'}`}>
      <Icon name={good === null ? 'state-queued' : good ? 'state-done' : 'state-failed'} strong={good !== null} />
      {word}
    </span>
  );
}
