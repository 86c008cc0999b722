// Logging in: a name and a password, made for password managers and for pasting. After an expired login it leads back to
// where the person was.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem, post } from '../../api';
import { Banner, Command, Field } from '../../parts';
import { navigate } from '../../router';
import type { ScreenProps } from '../../screens';
import { loadSession, session, type Session } from '../../session';
import { Bare } from './Bare';

// Only paths of this page: what comes with a link is not trusted.
export const wayBack = (next: string | null): string => (next && /^\/(?![/\\])/.test(next) && !next.startsWith('/login') ? next : '/');

export default function Login({ query }: ScreenProps) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [shown, setShown] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const next = wayBack(query.get('next'));
  useEffect(() => {
    // Who is logged in (in another tab, say) has nothing to do here.
    void loadSession().then(() => {
      if (session.value?.user) navigate(next, { replace: true });
    });
    field.current?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    // Password managers may fill without an event: what the fields have counts.
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setProblem(null);
    try {
      session.set(await post<Session>('session', { name: String(form.get('username')), password: String(form.get('password')) }));
      navigate(next, { replace: true });
    } catch (error) {
      setProblem(error as Problem);
      setPassword('');
      document.getElementById('login-password')?.focus();
    } finally {
      setBusy(false);
    }
  };
  return (
    <Bare title="Log in">
      {query.get('next') && !problem && <p class="muted">You are not logged in, or your login has expired. You go back to where you were.</p>}
      {problem && (
        <Banner kind="bad" icon="warning" role="alert">
          {problem.words}
        </Banner>
      )}
      <form class="stack" onSubmit={submit}>
        <Field name="Name">{(at) => <input {...at} ref={field} name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required value={name} onInput={(event) => setName(event.currentTarget.value)} />}</Field>
        <div class="field">
          <label class="name" for="login-password">
            Password
          </label>
          <input id="login-password" name="password" type={(shown ? 'text' : 'password') as 'text'} autocomplete="current-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
          <label class="check small">
            <input type="checkbox" checked={shown} onChange={(event) => setShown(event.currentTarget.checked)} /> <span>Show it</span>
          </label>
        </div>
        <button type="submit" class="button primary" aria-busy={busy ? 'true' : undefined}>
          Log in
        </button>
      </form>
      <details class="muted">
        <summary>Password forgotten?</summary>
        <p>
          Whoever may use the daemon's machine makes a link that sets a new one: <Command line="nightmill user reset NAME" />
        </p>
      </details>
    </Bare>
  );
}
