// A task that rests until a person decides: at a limit it gets more of what it ran out of, else a hint; or it goes on as it
// is, or ends. All of it in place. When somebody else was faster, that is said, and what was written is not lost.
import { useId, useState } from 'preact/hooks';
import { Problem, get, post } from '../../api';
import { Banner, Button, Cut, StateMark, Time, Used, moneyRough, moneyText, stateWord, toast } from '../../parts';
import { Link } from '../../router';
import { may } from '../../session';
import { fromPico, toPico } from '../money/amount';
import type { Task, TaskShown } from '../../types';

const amount = /^\d{1,12}([.,]\d{1,12})?$/;
type Said = Record<string, unknown>;

// How much more of what it ran out of.
function More({ task, decide }: { task: Task; decide: (verb: string, body: Said, words: string) => Promise<void> }) {
  const money = task.reason === 'limit_money';
  const id = useId();
  const [more, setMore] = useState(money ? moneyText(task.limits.money ?? '1') : '5');
  const wrong = money ? (amount.test(more) && moneyRough(more.replace(',', '.')) > 0 ? null : 'An amount such as 2 or 0.50') : /^[1-9]\d{0,5}$/.test(more) ? null : 'A number such as 5';
  const total = wrong ? '' : money ? fromPico(toPico(task.limits.money) + toPico(more.replace(',', '.'))) : String(task.iteration_limit + Number(more));
  const shown = money ? `${moneyText(total)} ${task.limits.currency}` : `${total} iterations`;
  return (
    <form
      class="line"
      onSubmit={(event) => {
        event.preventDefault();
        if (!wrong) void decide('resume', money ? { money: total } : { iterations: Number(total) }, 'It goes on').catch((error: unknown) => toast(error instanceof Problem ? error.words : String(error), { kind: 'bad' }));
      }}
    >
      <label for={id}>{money ? `More, ${task.limits.currency}` : 'More iterations'}</label>
      <input id={id} class="inbox-more" inputMode={money ? 'decimal' : 'numeric'} value={more} aria-invalid={wrong ? 'true' : undefined} onInput={(event) => setMore(event.currentTarget.value.trim())} />
      <Button kind="primary" type="submit" why={wrong} class="answer-approve">
        {wrong ? 'Raise the limit' : `Raise it to ${shown}`}
      </Button>
      {wrong && <span class="small bad">{wrong}</span>}
    </form>
  );
}

export function Decide({ task, onDecided }: { task: Task; onDecided: () => void }) {
  const [hint, setHint] = useState('');
  const [other, setOther] = useState<TaskShown | null>(null);
  const id = useId();
  const limited = task.reason === 'limit_money' || task.reason === 'limit_iterations';
  const shared = task.reason === 'limit_budget' || task.reason === 'budget';
  const decide = async (verb: string, body: Said, words: string) => {
    try {
      await post(`tasks/${task.id}/${verb}`, body);
      toast(words);
      onDecided();
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 409) throw error;
      const now = await get<TaskShown>(`tasks/${task.id}`);
      if (now.state === task.state && now.changed_at === task.changed_at) throw error; // nobody was faster: it cannot be done
      setOther(now);
    }
  };
  return (
    <section class="answer" aria-label={`Task ${task.id} ${task.state === 'needs_you' ? 'needs you' : 'has reached a limit'}`}>
      <div class="line">
        <StateMark state={task.state} />
        <Link to={`/tasks/${task.id}`}>
          <Cut text={task.title} most={160} />
        </Link>
        <span class="push small muted">
          waits since <Time at={task.changed_at} how="age" />
        </span>
      </div>
      {task.words && (
        <p>
          <Cut text={task.words.charAt(0).toUpperCase() + task.words.slice(1)} most={600} />
        </p>
      )}
      <p class="small muted inbox-used">
        <span>
          Iterations <span class="mono">{task.iteration} / {task.iteration_limit || 'no limit'}</span>
        </span>
        {task.cost && (
          <span>
            Cost <Used used={task.cost.total} limit={task.limits.money} currency={task.cost.currency} />
          </span>
        )}
        <span>Left alone, it waits and costs nothing.</span>
      </p>
      {other ? (
        <Banner icon="people" role="status" actions={<Button small onClick={onDecided}>All right</Button>}>
          Somebody else was faster: it is “{stateWord(other.state)}” since <Time at={other.changed_at} />.{hint && <> Your hint was not sent: “<Cut text={hint} most={300} />”.</>}
        </Banner>
      ) : (
        may('member') && (
          <>
            {limited && <More task={task} decide={decide} />}
            {!limited && !shared && (
              <div class="field">
                <label for={id}>What should it do otherwise?</label>
                <textarea id={id} rows={2} maxLength={20_000} value={hint} onInput={(event) => setHint(event.currentTarget.value)} />
              </div>
            )}
            <div class="line">
              {shared && (
                <Link class="button primary" to="/money?tab=budgets">
                  To the budgets
                </Link>
              )}
              {!limited && !shared && (
                <Button kind="primary" class="answer-approve" why={hint.trim() ? null : 'Write a hint first'} onClick={() => decide('hint', { text: hint.trim() }, 'It goes on with your hint')} keys="a">
                  Go on with this hint
                </Button>
              )}
              <Button onClick={() => decide('resume', {}, 'It goes on')}>{limited || shared ? 'Try again as it is' : 'Go on as it is'}</Button>
              <Button class="answer-deny" onClick={() => decide('stop', {}, 'It is stopped; its work is kept for looking at')} keys="d">
                Stop it
              </Button>
              <Link to={`/tasks/${task.id}`}>Look closer</Link>
            </div>
          </>
        )
      )}
    </section>
  );
}
