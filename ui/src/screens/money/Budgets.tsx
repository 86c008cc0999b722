// Budgets: what each may spend, what happens at the line, and how near it is.
import { useState } from 'preact/hooks';
import { asRead, del, post } from '../../api';
import { useData } from '../../live';
import { Button, Cut, Dialog, Empty, Field, Icon, Table, Time, Used, moneyText, toast } from '../../parts';
import { may } from '../../session';
import { Loaded, countText } from '../list';
import { fromPico, toPico } from './amount';
import { BudgetDialog, type BudgetDraft } from './BudgetDialog';
import { projectName, scopeWords, windowWords, type Budget } from './types';

const nameOf = (one: Budget): string => (one.scope === 'all' ? scopeWords['all']! : `${scopeWords[one.scope] ?? one.scope} ${one.scope === 'project' ? projectName(one.scope_id) : one.scope_id}`);
const lineWords = (one: Budget): string => {
  const soft = one.soft_percent ? `told at ${one.soft_percent} %` : '';
  const hard = !one.hard ? 'never stops anything' : one.pause ? 'tasks pause at the line and go on when it is raised' : 'requests are refused at the line';
  return soft ? `${soft}; ${hard}` : hard;
};

// At the rate since the window began: whether the limit is reached in it, and when; else how much it will be.
function Forecast({ one }: { one: Budget }) {
  const to = one.forecast;
  if (!to) return null;
  if (to.reached_at)
    return (
      <span class={`small ${one.hard ? 'you' : ''}`}>
        <Icon name="warning" /> at this rate reached <Time at={to.reached_at} how="exact" />
      </span>
    );
  const ends = [to.money !== null && `${moneyText(to.money)} ${one.currency}`, to.tokens !== null && `${countText(to.tokens)} tokens`].filter(Boolean).join(' and ');
  return <span class="small">at this rate {ends} at the end of it</span>;
}

function Level({ one }: { one: Budget }) {
  return (
    <span class="two-lines">
      {one.money !== null && <Used used={fromPico(toPico(one.spent) + toPico(one.held))} limit={one.money} currency={one.currency ?? ''} />}
      {one.tokens !== null && (
        <span class="mono">
          {countText(one.spent_tokens + one.held_tokens)} <span class="muted">/ {countText(one.tokens)} tokens</span>
        </span>
      )}
      {one.held !== null && toPico(one.held) > 0n && <span class="small">{moneyText(one.held)} of it is held for requests under way</span>}
      {one.carried !== null && toPico(one.carried) > 0n && <span class="small">and {moneyText(one.carried)} that was left before</span>}
      <Forecast one={one} />
    </span>
  );
}

function Raise({ one, onDone, onClose }: { one: Budget; onDone: () => void; onClose: () => void }) {
  const [money, setMoney] = useState('');
  const [tokens, setTokens] = useState('');
  const wrong = money && !/^\d{1,12}([.,]\d{1,12})?$/.test(money) ? 'An amount such as 20 or 12.50' : null;
  const after = one.money !== null && money && !wrong ? fromPico(toPico(one.money) + toPico(money.replace(',', '.'))) : null;
  const save = async () => {
    await post(`budgets/${one.id}/raise`, { ...(money ? { money: money.replace(',', '.') } : {}), ...(tokens ? { tokens: Number(tokens) } : {}) }, asRead(one));
    toast('The budget was raised; tasks that paused at it go on');
    onDone();
  };
  return (
    <Dialog open title={`Raise the budget: ${nameOf(one)}`} onClose={onClose}>
      <div class="body">
        {one.money !== null && (
          <Field name={`Add, ${one.currency}`} wrong={wrong} help={after ? `The limit is ${moneyText(after)} ${one.currency} then, ${windowWords[one.window]}.` : `It is ${moneyText(one.money)} ${one.currency} now.`}>
            {(id) => <input {...id} inputMode="decimal" value={money} autoFocus onInput={(event) => setMoney(event.currentTarget.value.trim())} />}
          </Field>
        )}
        {one.tokens !== null && (
          <Field name="Add, tokens" help={`It is ${countText(one.tokens)} now.`}>
            {(id) => <input {...id} type="number" min={1} step={1000} value={tokens} onInput={(event) => setTokens(event.currentTarget.value)} />}
          </Field>
        )}
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={wrong || (!money && !tokens && 'Say how much is added') || null} onClick={save}>
            {after ? `Raise to ${moneyText(after)}` : 'Raise'}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function Budgets() {
  const data = useData<{ budgets: Budget[] }>('budgets', { topics: ['money'] });
  const [draft, setDraft] = useState<BudgetDraft | null>(null);
  const [raised, setRaised] = useState<Budget | null>(null);
  const changes = may('admin');
  const remove = async (one: Budget) => {
    await del(`budgets/${one.id}`, asRead(one));
    data.reload();
    toast(`The budget is removed: ${nameOf(one)}`, {
      action: {
        words: 'Undo',
        do: async () => {
          const { scope, scope_id, window, zone, hard, soft_percent, pause, keep_unused } = one;
          await post('budgets', { scope, scope_id, window, zone, hard, soft_percent, pause, keep_unused, ...(one.money !== null ? { money: one.money, currency: one.currency } : {}), ...(one.tokens !== null ? { tokens: one.tokens } : {}) });
          data.reload();
        },
      },
    });
  };
  const dialogs = (
    <>
      {draft && <BudgetDialog draft={draft} onClose={() => setDraft(null)} onDone={() => (setDraft(null), data.reload())} />}
      {raised && <Raise one={raised} onClose={() => setRaised(null)} onDone={() => (setRaised(null), data.reload())} />}
    </>
  );
  const set = changes && (
    <Button kind="primary" icon="plus" onClick={() => setDraft({ scope: 'all', window: 'month' })}>
      Set a budget
    </Button>
  );
  return (
    <Loaded of={data} what="budgets">
      {({ budgets }) =>
        budgets.length === 0 ? (
          <>
            <Empty title="No budget is set" action={set || undefined} command="nightmill budget set all --money 100 --window month">
              A budget stops a request before it would pass the line: for everything together, a project, an agent, a model, a key or a person. How much of each is used appears here.
            </Empty>
            {dialogs}
          </>
        ) : (
          <div class="section">
            <div class="head">
              <h2>{budgets.length === 1 ? 'One budget' : `${budgets.length} budgets`}</h2>
              {set}
            </div>
            <Table
              caption="Budgets"
              rows={budgets}
              id={(one) => one.id}
              columns={[
                {
                  name: 'What',
                  wide: true,
                  cell: (one) => (
                    <span class="two-lines">
                      <b title={one.scope_id}>
                        <Cut text={nameOf(one)} most={120} />
                      </b>
                      <span class="small">{lineWords(one)}</span>
                    </span>
                  ),
                },
                { name: 'Used / limit', label: false, cell: (one) => <Level one={one} /> },
                {
                  name: 'Window',
                  cell: (one) => (
                    <span class="two-lines">
                      <span>
                        {windowWords[one.window] ?? one.window}
                        {one.window !== 'total' && <span class="muted">, {one.zone}</span>}
                      </span>
                      {one.window_end && (
                        <span class="small">
                          anew <Time at={one.window_end} how="exact" />
                        </span>
                      )}
                    </span>
                  ),
                },
                {
                  name: 'Do',
                  label: false,
                  cell: (one) =>
                    changes && (
                      <span class="line money-do">
                        <Button small onClick={() => setRaised(one)} label={`Raise: ${nameOf(one)}`}>
                          Raise
                        </Button>
                        <Button small kind="quiet" onClick={() => setDraft(one)} label={`Change: ${nameOf(one)}`}>
                          Change
                        </Button>
                        <Button small kind="quiet" onClick={() => remove(one)} label={`Remove: ${nameOf(one)}`}>
                          <Icon name="cross" />
                        </Button>
                      </span>
                    ),
                },
              ]}
            />
            <p class="small muted">“At this rate” is a straight line through what was spent and held since the window began; it is drawn when the first twenty-fourth of the window is over.</p>
            {dialogs}
          </div>
        )
      }
    </Loaded>
  );
}
