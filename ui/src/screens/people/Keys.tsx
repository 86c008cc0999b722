// Keys for programs: what each may, for whom, how much; shown once when it is made, gone from the next request on when revoked.
import { useState } from 'preact/hooks';
import { Problem, del, post } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Cut, Dialog, Empty, Field, Outcome, Table, Time, toast } from '../../parts';
import { Link } from '../../router';
import { may } from '../../session';
import { Loaded, countText } from '../list';
import { projectName } from '../money/types';
import { Once } from './Once';
import type { Key } from './types';

const accesses = [
  { id: 'use', title: 'asks models and starts work' },
  { id: 'read', title: 'reads only' },
  { id: 'admin', title: 'manages too' },
];
const lifetimes = [
  { id: '', title: 'for good' },
  { id: '86400', title: 'a day' },
  { id: '2592000', title: '30 days' },
  { id: '31536000', title: 'a year' },
];

function KeyDialog({ onClose, onDone }: { onClose: () => void; onDone: (key: Key) => void }) {
  const [name, setName] = useState('');
  const [access, setAccess] = useState('use');
  const [project, setProject] = useState('');
  const [user, setUser] = useState('');
  const [models, setModels] = useState('');
  const [expires, setExpires] = useState('31536000');
  const [requests, setRequests] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const save = async () => {
    setProblem(null);
    try {
      const list = models.split(/[\s,]+/).filter(Boolean);
      onDone(
        await post<Key>('keys', {
          name,
          access,
          ...(project ? { project } : {}),
          ...(user ? { user } : {}),
          ...(list.length ? { models: list } : {}),
          ...(expires ? { expires_s: Number(expires) } : {}),
          ...(requests ? { requests_per_minute: Number(requests) } : {}),
        }),
      );
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title="Make a key" onClose={onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        <Field name="What is it for" help="A name by which you know it again, such as editor of Ann.">
          {(at) => <input {...at} value={name} autoFocus maxLength={100} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <div class="form-grid">
          <Field name="May">
            {(at) => (
              <select {...at} value={access} onChange={(event) => setAccess(event.currentTarget.value)}>
                {accesses.map((one) => (
                  <option key={one.id} value={one.id}>
                    {one.title}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field name="Lasts">
            {(at) => (
              <select {...at} value={expires} onChange={(event) => setExpires(event.currentTarget.value)}>
                {lifetimes.map((one) => (
                  <option key={one.id} value={one.id}>
                    {one.title}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field name="Project" optional help="Its folder; empty: all that its maker sees.">
            {(at) => <input {...at} value={project} spellcheck={false} onInput={(event) => setProject(event.currentTarget.value.trim())} />}
          </Field>
          <Field name="Counts for user" optional help="Budgets and the ledger know them by it.">
            {(at) => <input {...at} value={user} spellcheck={false} onInput={(event) => setUser(event.currentTarget.value.trim())} />}
          </Field>
          <Field name="Models" optional help="Separated by commas; empty: all.">
            {(at) => <input {...at} value={models} spellcheck={false} onInput={(event) => setModels(event.currentTarget.value)} />}
          </Field>
          <Field name="Requests a minute" optional help="Empty: not limited.">
            {(at) => <input {...at} type="number" min={1} value={requests} onInput={(event) => setRequests(event.currentTarget.value)} />}
          </Field>
        </div>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={name.trim() ? null : 'Say what it is for'} onClick={save}>
            Make it
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function Keys() {
  const data = useData<{ keys: Key[] }>('keys', { topics: ['access'] });
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<Key | null>(null);
  const [revoked, setRevoked] = useState<Key | null>(null);
  const [old, setOld] = useState(false);
  const changes = may('admin');
  const revoke = async () => {
    if (!revoked) return;
    await del(`keys/${encodeURIComponent(revoked.id)}`);
    toast(`${revoked.name} opens nothing any more`);
    setRevoked(null);
    data.reload();
  };
  const add = changes && (
    <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
      Make a key
    </Button>
  );
  return (
    <Loaded of={data} what="keys">
      {({ keys }) => {
        const active = keys.filter((one) => one.state === 'active');
        const shown = old ? keys : active;
        return (
          <div class="section">
            {keys.length === 0 ? (
              <Empty title="No key was made yet" action={add || undefined} command='nightmill key create "editor of Ann"'>
                Editors, scripts and other programs that are not on this machine show a key. Each appears here with what it may and when it was last used.
              </Empty>
            ) : (
              <>
                <div class="head">
                  <h2>
                    {active.length} active {active.length === 1 ? 'key' : 'keys'}
                  </h2>
                  {keys.length > active.length && (
                    <label class="check">
                      <input type="checkbox" checked={old} onChange={(event) => setOld(event.currentTarget.checked)} />{' '}
                      <span>with {keys.length - active.length} that open nothing any more</span>
                    </label>
                  )}
                  {add}
                </div>
                <Table
                  caption="Keys"
                  rows={shown}
                  id={(one) => one.id}
                  columns={[
                    {
                      name: 'Key',
                      wide: true,
                      cell: (one) => (
                        <span class="two-lines">
                          <b>
                            <Cut text={one.name} most={100} />
                          </b>
                          <span class="small mono">{one.prefix}…</span>
                        </span>
                      ),
                    },
                    {
                      name: 'May',
                      cell: (one) => (
                        <span class="two-lines">
                          <span>
                            {one.access}
                            <Cut text={one.models.length > 0 ? `: ${one.models.join(', ')}` : ''} most={200} />
                          </span>
                          <span class="small">
                            <Cut text={[one.project && projectName(one.project), one.user && `for ${one.user}`, one.requests_per_minute && `${countText(one.requests_per_minute)} requests a minute`].filter(Boolean).join(', ') || 'everywhere'} most={200} />
                          </span>
                        </span>
                      ),
                    },
                    { name: 'State', label: false, cell: (one) => <Outcome good={one.state === 'active' ? true : null} word={one.state === 'active' ? 'Active' : one.state === 'revoked' ? 'Revoked' : one.state === 'expired' ? 'Expired' : one.state} /> },
                    {
                      name: 'Last used',
                      cell: (one) =>
                        one.last_used_at ? (
                          <Link to={`/traffic?key=${one.id}`}>
                            <Time at={one.last_used_at} />
                          </Link>
                        ) : (
                          <span class="muted">never</span>
                        ),
                    },
                    { name: 'Ends', cell: (one) => (one.revoked_at ? <Time at={one.revoked_at} how="exact" /> : one.expires_at ? <Time at={one.expires_at} how="exact" /> : <span class="muted">never</span>) },
                    {
                      name: 'Do',
                      label: false,
                      cell: (one) =>
                        changes && one.state === 'active' ? (
                          <span class="line people-do">
                            <Button small kind="quiet" onClick={() => setRevoked(one)} label={`Revoke ${one.name}`}>
                              Revoke
                            </Button>
                          </span>
                        ) : null,
                    },
                  ]}
                />
              </>
            )}
            {adding && <KeyDialog onClose={() => setAdding(false)} onDone={(key) => (setAdding(false), setMade(key), data.reload())} />}
            {made?.key && <Once title={`The key ${made.name}`} words="Put it where the program looks for it. It is shown this once: what is kept here cannot open anything." text={made.key} onClose={() => setMade(null)} />}
            <Dialog open={!!revoked} title={`Revoke ${revoked?.name ?? ''}`} onClose={() => setRevoked(null)}>
              <div class="body">
                <p>From the next request on it opens nothing. It cannot be brought back; make another one instead.</p>
                <div class="actions">
                  <Button onClick={() => setRevoked(null)}>Keep it</Button>
                  <Button kind="danger" onClick={revoke}>
                    Revoke it
                  </Button>
                </div>
              </div>
            </Dialog>
          </div>
        );
      }}
    </Loaded>
  );
}
