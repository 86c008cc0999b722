// One's own logins, and one's own password.
import { useState } from 'preact/hooks';
import { Problem, del, post } from '../../api';
import { useCell } from '../../cell';
import { useData } from '../../live';
import { Banner, Button, Cut, Empty, Field, Table, Time, toast } from '../../parts';
import { loadSession, session } from '../../session';
import { Loaded } from '../list';
import type { Login } from './types';

// The browser and system of a User-Agent, for people; the whole of it is in the title.
const agentWords = (agent: string | null): string => {
  if (!agent) return 'unknown';
  const browser = /Firefox/.test(agent) ? 'Firefox' : /Edg\//.test(agent) ? 'Edge' : /Chrome/.test(agent) ? 'Chrome' : /Safari/.test(agent) ? 'Safari' : agent.slice(0, 40);
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac OS/.test(agent) ? 'macOS' : /Windows/.test(agent) ? 'Windows' : /Linux/.test(agent) ? 'Linux' : '';
  return [browser, system].filter(Boolean).join(', ');
};

function Password() {
  const [old, setOld] = useState('');
  const [next, setNext] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const bytes = new TextEncoder().encode(next).length;
  const save = async (event: Event) => {
    event.preventDefault();
    if (bytes < 10 || !old) return;
    setProblem(null);
    try {
      await post('password', { old, password: next });
      setOld('');
      setNext('');
      toast('The password is changed; your other logins have ended');
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <form class="section people-password" onSubmit={save}>
      <h2>Another password</h2>
      {problem && (
        <Banner kind="bad" icon="warning" role="alert">
          {problem.words}
        </Banner>
      )}
      <Field name="The one of now">{(at) => <input {...at} type="password" autocomplete="current-password" value={old} onInput={(event) => setOld(event.currentTarget.value)} />}</Field>
      <Field name="The new one" wrong={next && bytes < 10 ? `${10 - bytes} more characters` : null} help="At least 10 characters. All your other logins end.">
        {(at) => <input {...at} type="password" autocomplete="new-password" value={next} onInput={(event) => setNext(event.currentTarget.value)} />}
      </Field>
      <button type="submit" class="button" aria-disabled={bytes < 10 || !old ? 'true' : undefined}>
        Change it
      </button>
    </form>
  );
}

export function Logins() {
  const who = useCell(session);
  const account = !!who?.user?.id;
  const data = useData<{ sessions: Login[] }>('sessions', { topics: ['access'], off: !account });
  const end = async (one: Login) => {
    await del(`sessions/${encodeURIComponent(one.id)}`);
    if (one.current) await loadSession();
    else {
      toast('That login has ended');
      data.reload();
    }
  };
  if (!account)
    return (
      <Empty title="You are here without a login" command="nightmill user ls">
        Whoever runs the daemon needs none on its own machine. Logins of people who come with a name and a password appear here.
      </Empty>
    );
  return (
    <div class="stack">
      <Loaded of={data} what="your logins">
        {({ sessions }) => (
          <div class="section">
            <h2>{sessions.length === 1 ? 'This is your only login' : `You are logged in at ${sessions.length} places`}</h2>
            <Table
              caption="Your logins"
              rows={sessions}
              id={(one) => one.id}
              columns={[
                {
                  name: 'Where',
                  wide: true,
                  cell: (one) => (
                    <span class="two-lines" title={one.agent ?? ''}>
                      <span>
                        <b>
                          <Cut text={agentWords(one.agent)} most={60} />
                        </b>{' '}
                        {one.current && <span class="good">this one</span>} {one.kind === 'token' && <span class="muted">a program</span>}
                      </span>
                      <span class="small mono">{one.address}</span>
                    </span>
                  ),
                },
                { name: 'Since', cell: (one) => <Time at={one.created_at} how="exact" /> },
                { name: 'Seen', cell: (one) => <Time at={one.seen_at} /> },
                { name: 'Ends', cell: (one) => <Time at={one.expires_at} how="exact" /> },
                {
                  name: 'Do',
                  label: false,
                  cell: (one) => (
                    <span class="line people-do">
                      <Button small kind="quiet" onClick={() => end(one)} label={one.current ? 'Log out here' : `End the login of ${agentWords(one.agent)}`}>
                        {one.current ? 'Log out' : 'End it'}
                      </Button>
                    </span>
                  ),
                },
              ]}
            />
          </div>
        )}
      </Loaded>
      <Password />
    </div>
  );
}
