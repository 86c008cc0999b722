// Asks for work. Beside the form stands the plan: what will be checked, what it may cost, who does it; made by the server
// from what is typed, by the same preparation that the command line uses. Nothing begins before Start.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem, freshKey, post } from '../../api';
import { stored, useCell } from '../../cell';
import { useData } from '../../live';
import { Banner, Button, Cut, Field, Icon, Slider, Waiting, durationText, moneyText, toast } from '../../parts';
import { navigate } from '../../router';
import type { ScreenProps } from '../../screens';
import { may } from '../../session';
import type { Schemas, Task } from '../../types';
import { AgentChoice, BudgetsOver, ModelChoices, Price, useChoices, type Choices } from './choices';
import './new.css';

interface Draft {
  repo: string;
  text: string;
  checks: string;
  iterations: number; // 0: as the settings say
  money: string; // "": as the settings say
  minutes: number;
  agent: string;
  model: string;
  approvePlan: boolean;
  approveCommit: boolean;
  apply: boolean;
  proof: boolean;
}
const emptyDraft: Draft = { repo: '', text: '', checks: '', iterations: 0, money: '', minutes: 0, agent: '', model: '', approvePlan: false, approveCommit: false, apply: false, proof: false };
const kept = stored<string>('new-draft', '');

type Spec = Schemas['TaskSpec'];
type Record_ = Schemas['AgentRecord'];

function readDraft(query: URLSearchParams): Draft {
  let draft = emptyDraft;
  try {
    if (kept.value) draft = { ...emptyDraft, ...(JSON.parse(kept.value) as Partial<Draft>) };
  } catch {
    /* an older form of the draft */
  }
  const repo = query.get('repo');
  const text = query.get('text');
  return { ...draft, ...(repo ? { repo } : {}), ...(text ? { text } : {}) };
}

function wish(draft: Draft): Record<string, unknown> {
  const checks = draft.checks
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  const approve = [draft.approvePlan && 'plan', draft.approveCommit && 'commit'].filter(Boolean).join(',');
  return {
    text: draft.text.trim(),
    repo: draft.repo.trim(),
    ...(checks.length ? { checks } : {}),
    ...(draft.iterations ? { iterations: draft.iterations } : {}),
    ...(draft.money.trim() ? { budget: draft.money.trim() } : {}),
    ...(draft.minutes ? { time_s: draft.minutes * 60 } : {}),
    ...(draft.agent ? { agent: draft.agent } : {}),
    ...(draft.model ? { model: draft.model } : {}),
    ...(approve ? { approve } : {}),
    ...(draft.apply ? { apply: true } : {}),
    ...(draft.proof ? { require_proof: true } : {}),
  };
}

// The plan of what is typed, half a second after the last key.
function usePlan(draft: Draft): { plan: Spec | null; problem: Problem | null; making: boolean } {
  const [state, setState] = useState<{ plan: Spec | null; problem: Problem | null; making: boolean }>({ plan: null, problem: null, making: false });
  const body = JSON.stringify(wish(draft));
  const ready = draft.text.trim().length > 2 && draft.repo.trim().startsWith('/');
  const latest = useRef(0);
  useEffect(() => {
    const mine = ++latest.current;
    if (!ready) {
      setState({ plan: null, problem: null, making: false });
      return;
    }
    setState((old) => ({ ...old, making: true }));
    const timer = setTimeout(async () => {
      try {
        const { spec } = await post<{ spec: Spec }>('plans', JSON.parse(body));
        if (latest.current === mine) setState({ plan: spec, problem: null, making: false });
      } catch (error) {
        if (latest.current === mine) setState({ plan: null, problem: error as Problem, making: false });
      }
    }, 500);
    return () => clearTimeout(timer);
  }, [body, ready]);
  return state;
}

function Plan({ plan, record, choices }: { plan: Spec; record: Record_ | undefined; choices: Choices }) {
  const cost = record?.costs.find((one) => one.currency === plan.limits.currency && one.median !== null);
  return (
    <>
      <section>
        <h3>What will be checked</h3>
        {plan.checks.length ? (
          <ul class="new-list">
            {plan.checks.map((check) => (
              <li key={check.name}>
                <Icon name="check" />
                <span>
                  <code>
                    <Cut text={check.command} most={300} />
                  </code>{' '}
                  <span class="small muted">
                    {check.origin}
                    {check.required ? '' : ', not required'}, at most {durationText(check.timeout_s * 1000)}
                  </span>
                </span>
              </li>
            ))}
          </ul>
        ) : (
          <Banner kind="you" icon="warning">
            No check was found in this repository. Without one the result can be looked at, but not proven: name a command above.
          </Banner>
        )}
        <p class="small muted">It is done when these pass on the delivered commit, fail on a mistake put in on purpose, and no test was weakened.</p>
      </section>
      <section>
        <h3>What it may cost</h3>
        <ul class="new-list">
          <li>
            <Icon name="money" />
            <span>
              {plan.limits.money ? (
                <>
                  At most <b class="mono">{moneyText(plan.limits.money)}</b> {plan.limits.currency}; it pauses before the request that would cross this.
                </>
              ) : (
                'No limit of its own for money; budgets of the project and of everything hold.'
              )}{' '}
              {cost?.median && (
                <span class="muted">
                  {cost.tasks === 1 ? 'The one task before cost' : `Half of the ${cost.tasks} tasks before cost at most`} {moneyText(cost.median)} {cost.currency}{record?.few ? ', which are few' : ''}.
                </span>
              )}
            </span>
          </li>
          {!cost?.median && (
            <li>
              <Icon name="right" />
              <span class="muted">No task of {plan.agent?.name ?? 'nightmill'} has ended here yet, so nobody can say what one usually costs.</span>
            </li>
          )}
          <li>
            <Icon name="models" />
            <Price plan={plan} choices={choices} />
          </li>
          {choices.budgets.length > 0 && (
            <li>
              <Icon name="money" />
              <span class="new-budgets">
                <BudgetsOver plan={plan} choices={choices} />
              </span>
            </li>
          )}
          <li>
            <Icon name="state-working" />
            <span>
              At most <b class="mono">{plan.limits.iterations || 'any number of'}</b> iterations{record?.iterations_median ? <span class="muted">; half of the tasks before needed {record.iterations_median} or fewer</span> : ''}.{' '}
              {plan.limits.time_s > 0 && <>At most {durationText(plan.limits.time_s * 1000)} of work.</>}
            </span>
          </li>
        </ul>
      </section>
      <section>
        <h3>Who does it, and where</h3>
        <ul class="new-list">
          <li>
            <Icon name="models" />
            <span>
              <bdi>{plan.agent?.name ?? 'nightmill'}</bdi> with <bdi>{plan.model.name || 'tier A'}</bdi>
              {record?.share_done && (
                <span class="muted">
                  , {record.done} of {record.ended} done
                </span>
              )}
            </span>
          </li>
          <li>
            <Icon name="folder" />
            <span>
              A copy of <bdi class="mono">{plan.repo}</bdi> at <span class="mono">{plan.base.slice(0, 10)}</span>, in a sandbox.{' '}
              {plan.apply ? 'The result is put into your files.' : 'The result is a branch; your files are not touched.'}
            </span>
          </li>
          {(plan.setup ?? []).map((command) => (
            <li key={command}>
              <Icon name="play" />
              <span>
                Set-up: <code>{command}</code>
              </span>
            </li>
          ))}
          {(plan.hooks ?? []).map((hook) => (
            <li key={hook.when + hook.command}>
              <Icon name="play" />
              <span>
                Hook ({hook.when.replaceAll('_', ' ')}): <code>{hook.command}</code>
              </span>
            </li>
          ))}
          {(plan.approve ?? []).map((gate) => (
            <li key={gate}>
              <Icon name="state-you" />
              <span>Waits for you at the {gate}.</span>
            </li>
          ))}
        </ul>
      </section>
      {(plan.notes ?? []).length > 0 && (
        <section>
          <h3>Good to know</h3>
          <ul class="new-list">
            {plan.notes!.map((note) => (
              <li key={note}>
                <Icon name="right" />
                <Cut text={note} most={400} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

export default function New({ query }: ScreenProps) {
  const [draft, setDraft] = useState(() => readDraft(query));
  const { plan, problem, making } = usePlan(draft);
  const tasks = useData<{ tasks: Task[] }>('tasks', { query: { limit: 200 } });
  const choices = useChoices(draft.repo.trim());
  const settings = useCell(kept);
  const key = useRef(freshKey());
  const starting = useRef(false);
  const touched = useRef(false); // by somebody here; what came from elsewhere is not written again
  const change = (part: Partial<Draft>) => {
    key.current = freshKey();
    touched.current = true;
    setDraft((old) => ({ ...old, ...part }));
  };
  // The draft survives a reload, and follows into other tabs.
  const own = useRef('');
  useEffect(() => {
    const text = JSON.stringify(draft);
    own.current = text;
    if (!touched.current) return;
    const timer = setTimeout(() => kept.set(text), 200);
    return () => clearTimeout(timer);
  }, [draft]);
  const first = useRef(true);
  useEffect(() => {
    const fresh = first.current; // what the address asked for comes before what was kept
    first.current = false;
    if (fresh || settings === own.current) return;
    touched.current = false;
    setDraft(settings ? readDraft(new URLSearchParams()) : emptyDraft); // taken away: it was begun in another tab
  }, [settings]);

  const repos = [...new Set((tasks.data?.tasks ?? []).map((task) => task.repo))];
  const agentName = plan?.agent?.name ?? 'nightmill';
  const evidence = choices.records.find((one) => one.agent === agentName);
  const iterations = draft.iterations || plan?.limits.iterations || 0;
  const currency = plan?.limits.currency ?? '';
  const money = draft.money || plan?.limits.money || '';
  const why = !may('member') ? 'Your role may look, not begin tasks' : !draft.repo.trim() ? 'Name a repository first' : draft.text.trim().length < 3 ? 'Say first what should change' : problem ? problem.words : null;
  const start = async () => {
    if (starting.current) return;
    starting.current = true;
    try {
      const task = await post<Task>('tasks', wish(draft), { key: key.current });
      kept.set('');
      toast(`Task ${task.id} waits for its turn`);
      navigate(`/tasks/${task.id}`);
    } finally {
      starting.current = false;
    }
  };
  return (
    <div class="stack">
      <div class="page-head">
        <h1>New task</h1>
      </div>
      <form
        class="new"
        onSubmit={(event) => {
          event.preventDefault();
          document.getElementById('new-start')?.click();
        }}
      >
        <div class="stack">
          <Field name="Repository" help="The folder of a git repository on the machine where Nightmill runs.">
            {(id) => <input {...id} class="mono" list="new-repos" required autocomplete="off" spellcheck={false} placeholder="/home/ada/project" value={draft.repo} onInput={(event) => change({ repo: event.currentTarget.value })} />}
          </Field>
          <datalist id="new-repos">
            {repos.map((repo) => (
              <option key={repo} value={repo} />
            ))}
          </datalist>
          <Field name="What should change" help="As you would say it to a colleague: what, why, and how one sees that it works.">
            {(id) => <textarea {...id} rows={7} required value={draft.text} onInput={(event) => change({ text: event.currentTarget.value })} />}
          </Field>
          <Field name="Checks" optional help="Commands that must pass, one a line. Left empty, they are taken from nightmill.yaml or found in the repository.">
            {(id) => <textarea {...id} rows={2} class="mono" spellcheck={false} placeholder="make test" value={draft.checks} onInput={(event) => change({ checks: event.currentTarget.value })} />}
          </Field>
          <Field name="Agent" help="Who does it, in a sandbox of its own. Every one is judged by the same checks.">
            {(id) => <AgentChoice id={id} value={draft.agent} choices={choices} onChoose={(agent) => change({ agent })} />}
          </Field>
          <Field name="Model" optional help="A tier or a model. Left empty, as the agent, the project and the settings say.">
            {(id) => <input {...id} list="new-models" value={draft.model} autocomplete="off" spellcheck={false} onInput={(event) => change({ model: event.currentTarget.value })} />}
          </Field>
          <ModelChoices id="new-models" choices={choices} />
          <Slider
            name="Iterations"
            unit="at most"
            value={iterations}
            least={1}
            most={200}
            curved
            {...(plan ? { standard: plan.limits.iterations } : {})}
            onChange={(value) => change({ iterations: value })}
            effect={
              draft.iterations
                ? evidence?.iterations_median
                  ? `Half of the tasks of ${agentName} needed ${evidence.iterations_median} or fewer; after ${draft.iterations} it pauses and asks.`
                  : `After ${draft.iterations} attempts without proof it pauses and asks.`
                : plan?.limits.iterations_words
                  ? `As found: ${plan.limits.iterations_words}.`
                  : 'Chosen by what is asked, until you move it.'
            }
          />
          <Slider
            name="Money"
            {...(currency ? { unit: currency } : {})}
            value={Number(money) || 0}
            least={0}
            most={100}
            step={0.1}
            curved
            off="no limit"
            onChange={(value) => change({ money: value ? value.toFixed(2) : '' })}
            effect={Number(money) > 0 ? `It pauses before the request that would cross ${moneyText(money)} ${currency}; what is done until then is kept.` : 'Without a limit of its own; the budgets still hold.'}
          />
          <details>
            <summary>More choices</summary>
            <div class="stack new-more">
              <Slider name="Working time" unit="minutes" value={draft.minutes} least={0} most={600} curved off="no limit" onChange={(value) => change({ minutes: value })} effect={draft.minutes ? `After ${draft.minutes} minutes of work it pauses.` : 'As long as it takes.'} />
              {(
                [
                  ['approvePlan', 'Show me the plan before it begins'],
                  ['approveCommit', 'Show me the result before it becomes a branch'],
                  ['apply', 'Put the result into my files, when they have no changes of their own'],
                  ['proof', 'Count it as done only when a new test proves it'],
                ] as const
              ).map(([name, words]) => (
                <label key={name} class="check">
                  <input type="checkbox" checked={draft[name]} onChange={(event) => change({ [name]: event.currentTarget.checked })} />
                  {words}
                </label>
              ))}
            </div>
          </details>
        </div>
        <aside class="new-plan stack" aria-label="Plan" aria-busy={making}>
          <h2>Plan</h2>
          {plan ? (
            <Plan plan={plan} record={evidence} choices={choices} />
          ) : problem ? (
            <Banner kind="you" icon="warning" role="status">
              <Cut text={problem.words} />
            </Banner>
          ) : making ? (
            <Waiting what="the plan" />
          ) : (
            <p class="muted">What will be checked and what it may cost stands here as soon as a repository and a wish are named. Nothing begins before Start.</p>
          )}
          <div class="line">
            <Button kind="primary" id="new-start" icon="play" why={why} onClick={start}>
              {plan?.limits.money ? `Start, at most ${moneyText(plan.limits.money)} ${plan.limits.currency}` : 'Start'}
            </Button>
            {(draft.text || draft.repo) && (
              <Button
                kind="quiet"
                onClick={() => {
                  const before = draft;
                  setDraft(emptyDraft);
                  toast('The form is empty', { action: { words: 'Undo', do: () => setDraft(before) } });
                }}
              >
                Clear
              </Button>
            )}
          </div>
        </aside>
      </form>
    </div>
  );
}
