// Setting a budget, or other limits of one. The one of the same scope, window and currency is changed, as the server has it.
import { useState } from 'preact/hooks';
import { Problem, post } from '../../api';
import { Banner, Button, Dialog, Field, Slider, Switch, toast } from '../../parts';
import { scopeWords, windowWords, type Budget } from './types';

export type BudgetDraft = Partial<Budget> & Pick<Budget, 'scope' | 'window'>;
const idHelp: Record<string, string> = {
  project: "The project's folder, such as /srv/shop",
  task: "The task's id",
  agent: 'Such as nightmill, codex or claude',
  model: 'As it is asked for, such as claude-sonnet-4-5',
  key: "The key's id",
  user: 'The name that keys and people carry',
  organisation: 'The name that keys carry',
};
const lineKinds = [
  { id: 'pause', title: 'Tasks pause' },
  { id: 'refuse', title: 'Refuse' },
  { id: 'tell', title: 'Tell only' },
];
const lineEffect: Record<string, string> = {
  pause: 'A task that reaches it pauses and goes on when the budget is raised; other clients are refused.',
  refuse: 'A request that would pass it is refused, and a task asks you what to do.',
  tell: 'Nothing is stopped. You are told once a window.',
};

export function BudgetDialog({ draft, onClose, onDone }: { draft: BudgetDraft; onClose: () => void; onDone: () => void }) {
  const known = draft.id !== undefined;
  const [scope, setScope] = useState(draft.scope);
  const [id, setId] = useState(draft.scope === 'all' ? '' : (draft.scope_id ?? ''));
  const [window_, setWindow] = useState(draft.window);
  const [money, setMoney] = useState(draft.money ?? '');
  const [currency, setCurrency] = useState(draft.currency ?? '');
  const [tokens, setTokens] = useState(draft.tokens ? String(draft.tokens) : '');
  const [soft, setSoft] = useState(draft.soft_percent ?? 80);
  const [line, setLine] = useState(draft.hard === false ? 'tell' : draft.pause === false ? 'refuse' : 'pause');
  const [keep, setKeep] = useState(draft.keep_unused ?? false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const wrongMoney = money && !/^\d{1,12}([.,]\d{1,12})?$/.test(money) ? 'An amount such as 20 or 12.50' : null;
  const why =
    wrongMoney || (scope !== 'all' && !id && `Say which ${scope}`) || (!money && !tokens && 'Set a limit of money, of tokens, or both') || (line === 'tell' && !soft && 'Telling only needs a share at which it tells') || null;
  const save = async () => {
    try {
      await post('budgets', {
        scope,
        scope_id: scope === 'all' ? 'all' : id,
        window: window_,
        hard: line !== 'tell',
        pause: line === 'pause',
        soft_percent: soft,
        keep_unused: keep,
        ...(money ? { money: money.replace(',', '.') } : {}),
        ...(money && currency ? { currency: currency.toUpperCase() } : {}),
        ...(tokens ? { tokens: Number(tokens) } : {}),
        ...(draft.zone ? { zone: draft.zone } : {}),
      });
      toast(known ? 'The budget is changed' : 'The budget is set');
      onDone();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title={known ? 'Change a budget' : 'Set a budget'} onClose={onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        <div class="form-grid">
          <Field name="Of what" help={scope === 'all' ? 'All that is spent here, whoever asks.' : ''}>
            {(at) => (
              <select {...at} value={scope} disabled={known} onChange={(event) => setScope(event.currentTarget.value)}>
                {Object.entries(scopeWords).map(([name, words]) => (
                  <option key={name} value={name}>
                    {words}
                  </option>
                ))}
              </select>
            )}
          </Field>
          {scope !== 'all' && (
            <Field name={`Which ${scope}`} help={idHelp[scope]}>
              {(at) => <input {...at} value={id} disabled={known} maxLength={200} onInput={(event) => setId(event.currentTarget.value.trim())} />}
            </Field>
          )}
          <Field name="Window" help="How long an allowance lasts.">
            {(at) => (
              <select {...at} value={window_} disabled={known} onChange={(event) => setWindow(event.currentTarget.value)}>
                {Object.entries(windowWords).map(([name, words]) => (
                  <option key={name} value={name}>
                    {words}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </div>
        <div class="form-grid">
          <Field name="Money" wrong={wrongMoney} help="Empty: no limit of money.">
            {(at) => <input {...at} inputMode="decimal" value={money} onInput={(event) => setMoney(event.currentTarget.value.trim())} />}
          </Field>
          <Field name="Currency" help="Empty: that of the settings.">
            {(at) => <input {...at} value={currency} disabled={known} maxLength={3} placeholder="USD" onInput={(event) => setCurrency(event.currentTarget.value.trim())} />}
          </Field>
          <Field name="Tokens" help="In and out. Empty: no limit of tokens.">
            {(at) => <input {...at} type="number" min={1} value={tokens} onInput={(event) => setTokens(event.currentTarget.value)} />}
          </Field>
        </div>
        <Slider name="Tell me at" value={soft} least={0} most={100} unit="%" standard={80} effect={soft ? `You are told once a window when ${soft} % are spent.` : 'Nothing is told before the line.'} onChange={setSoft} />
        <div class="field">
          <span class="name">At the line</span>
          <Switch label="At the line" choices={lineKinds} now={line} onChoose={setLine} />
          <span class="help">{lineEffect[line]}</span>
        </div>
        {window_ !== 'total' && (
          <label class="check">
            <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.currentTarget.checked)} />
            <span>What is left of a window is added to the next</span>
          </label>
        )}
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={why} onClick={save}>
            {known ? 'Change it' : 'Set it'}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
