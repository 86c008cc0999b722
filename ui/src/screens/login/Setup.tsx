// The first run, behind the link that the server printed: make the owner, connect a model, set a cap. Each step is tried at
// once and says what failed. The link's token stands behind the # and is taken out of the address at once.
import { useEffect, useState } from 'preact/hooks';
import { Problem, get, post } from '../../api';
import { useCell } from '../../cell';
import { Button, Command, Field, Icon } from '../../parts';
import { navigate } from '../../router';
import type { ScreenProps } from '../../screens';
import { session, type Session } from '../../session';
import { sampleTask } from '../first/sample';
import { Bare } from './Bare';
import { Failed, Model } from './Model';

const least = 10; // bytes of a password, as the server has it
const steps = ['Owner', 'Model', 'Cap'];

function Steps({ now }: { now: number }) {
  return (
    <ol class="setup-steps" aria-label="Steps">
      {steps.map((step, i) => (
        <li key={step} aria-current={i === now ? 'step' : undefined} class={i < now ? 'past' : ''}>
          {i < now ? <Icon name="check" strong /> : <span class="mono">{i + 1}</span>} {step}
        </li>
      ))}
    </ol>
  );
}

function Owner({ token, first, onDone }: { token: string; first: boolean; onDone: () => void }) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [shown, setShown] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const bytes = new TextEncoder().encode(password).length;
  const short = password && bytes < least ? `${least - bytes} more ${least - bytes === 1 ? 'character' : 'characters'}` : null;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy || bytes < least || (first && !name)) return;
    setBusy(true);
    setProblem(null);
    try {
      session.set(await post<Session>('setup', { token, password, ...(first ? { name } : {}) }));
      onDone();
    } catch (error) {
      setProblem(error as Problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="stack" onSubmit={submit}>
      <Failed problem={problem} />
      {problem?.status === 401 && (
        <p class="muted">
          A link is good for 30 minutes and for one use. A fresh one: <Command line="nightmill setup-link" />
        </p>
      )}
      {first && (
        <Field name="Your name" help="You log in with it, and it stands beside what you do.">
          {(at) => <input {...at} name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required value={name} onInput={(event) => setName(event.currentTarget.value.trim())} />}
        </Field>
      )}
      <Field name="Password" wrong={short} help={`At least ${least} characters; a sentence is fine.`}>
        {(at) => <input {...at} name="password" type={(shown ? 'text' : 'password') as 'text'} autocomplete="new-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} />}
      </Field>
      <label class="check">
        <input type="checkbox" checked={shown} onChange={(event) => setShown(event.currentTarget.checked)} /> <span>Show it</span>
      </label>
      <button type="submit" class="button primary" aria-disabled={bytes < least || (first && !name) ? 'true' : undefined} aria-busy={busy ? 'true' : undefined}>
        {first ? 'Make the owner' : 'Set the password'}
      </button>
    </form>
  );
}

function Cap({ onDone }: { onDone: () => void }) {
  const [money, setMoney] = useState('50');
  const [currency, setCurrency] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    get<{ value: string }>('settings/money.currency').then(
      (found) => setCurrency(found.value),
      () => undefined,
    );
  }, []);
  const wrong = money && !/^\d{1,9}([.,]\d{1,2})?$/.test(money) ? 'An amount such as 50 or 12.50' : null;
  const save = async () => {
    setProblem(null);
    try {
      await post('budgets', { scope: 'all', scope_id: 'all', window: 'month', money: money.replace(',', '.'), soft_percent: 80, hard: true, pause: true });
      onDone();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <div class="stack">
      <Failed problem={problem} />
      <Field name={`At most, a month${currency ? `, ${currency}` : ''}`} wrong={wrong} help="You are told at 80 %. At the cap tasks pause before the request that would cross it, until you raise it.">
        {(at) => <input {...at} inputMode="decimal" value={money} onInput={(event) => setMoney(event.currentTarget.value.trim())} />}
      </Field>
      <div class="line">
        <Button kind="primary" why={wrong ?? (money ? null : 'Say how much')} onClick={save}>
          {money && !wrong ? `Stop at ${money} ${currency} a month` : 'Set the cap'}
        </Button>
        <Button kind="quiet" onClick={onDone}>
          No cap
        </Button>
      </div>
    </div>
  );
}

// The token of the link, once: it does not stay in the address, nor in the browser's history.
function takeToken(): string {
  const found = location.hash.slice(1);
  if (found) history.replaceState(null, '', '/setup');
  return found;
}

export default function Setup(_: ScreenProps) {
  const [token, setToken] = useState(takeToken);
  // The link may be opened where this page is open already: then only the part behind the # changes.
  useEffect(() => {
    const changed = () => {
      const found = takeToken();
      if (found) {
        setToken(found);
        setStep(0);
      }
    };
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, []);
  const who = useCell(session);
  // An invited person and one with a new password have a link as well; they only choose the password.
  const [first] = useState(() => session.value?.setup_needed !== false);
  const [step, setStep] = useState(() => (session.value?.user && !token ? 1 : 0));
  const finish = () => navigate('/first', { replace: true });
  const watch = async () => {
    await sampleTask();
    finish();
  };
  // Each step begins in its first field: the autofocus of browsers is for documents and dialogs only.
  useEffect(() => document.querySelector<HTMLElement>('.bare-page :is(input, select)')?.focus(), [step, token]);
  if (step === 0 && !token)
    return (
      <Bare title={who?.setup_needed === false ? 'This server has an owner' : 'Nearly there'}>
        <p>
          {who?.setup_needed === false
            ? 'It was set up already. Log in, or ask for a link of your own.'
            : 'Nightmill runs and has no owner yet. Only whoever may use its machine can become the owner: open the link that it printed when it started, or make a fresh one there.'}
        </p>
        {who?.setup_needed === false ? (
          <Button kind="primary" onClick={() => navigate('/login', { replace: true })}>
            Log in
          </Button>
        ) : (
          <Command line="nightmill setup-link" />
        )}
      </Bare>
    );
  return (
    <Bare title={first ? ['Who owns this server?', 'Which model does the work?', 'How much may it cost?'][step]! : 'Choose a password'}>
      {first && <Steps now={step} />}
      {step === 0 ? <Owner token={token} first={first} onDone={() => (first ? setStep(1) : navigate('/', { replace: true }))} /> : step === 1 ? <Model
          onDone={() => setStep(2)}
          aside={
            <>
              <Button icon="play" onClick={watch}>
                Watch the sample first
              </Button>
              <Button kind="quiet" onClick={() => setStep(2)}>
                Later
              </Button>
            </>
          }
        /> : <Cap onDone={finish} />}
    </Bare>
  );
}
