// Users: people and service accounts, their role here and in projects.
import { useState } from 'preact/hooks';
import { Problem, asRead, del, post, put, request } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Cut, Dialog, Empty, Field, Icon, Outcome, Table, Time, toast } from '../../parts';
import { session } from '../../session';
import { Loaded } from '../list';
import { projectName } from '../money/types';
import { Once } from './Once';
import { roleTitle, roles, type User } from './types';

// Links are opened in a browser at this very address.
const linkOf = (token: string) => `${location.origin}/setup#${token}`;
const tokenOf = (made: unknown): string => {
  const setup = (made as { setup?: unknown; token?: unknown }).setup ?? made;
  return typeof setup === 'string' ? setup : String((setup as { token?: unknown } | null)?.token ?? '');
};

function RoleField({ now, onChange, help }: { now: string; onChange: (role: string) => void; help?: string }) {
  return (
    <Field name="Role" help={help ?? roles.find((one) => one.id === now)?.help ?? 'only what roles in projects give'}>
      {(at) => (
        <select {...at} value={now} onChange={(event) => onChange(event.currentTarget.value)}>
          {roles.map((one) => (
            <option key={one.id} value={one.id}>
              {one.title}
            </option>
          ))}
          <option value="">only in projects</option>
        </select>
      )}
    </Field>
  );
}

function AddUser({ onClose, onDone }: { onClose: () => void; onDone: (token: string, name: string) => void }) {
  const [name, setName] = useState('');
  const [kind, setKind] = useState('person');
  const [role, setRole] = useState('member');
  const [problem, setProblem] = useState<Problem | null>(null);
  const save = async () => {
    setProblem(null);
    try {
      onDone(tokenOf(await post<User>('users', { name, kind, role })), name);
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title="Add a user" onClose={onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        <Field name="Name" help="They log in with it.">
          {(at) => <input {...at} value={name} autoFocus autocomplete="off" spellcheck={false} maxLength={100} onInput={(event) => setName(event.currentTarget.value.trim())} />}
        </Field>
        <Field name="Kind" help={kind === 'service' ? 'A program: it has no password, but keys.' : 'Gets a link with which they choose a password.'}>
          {(at) => (
            <select {...at} value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
              <option value="person">person</option>
              <option value="service">service</option>
            </select>
          )}
        </Field>
        <RoleField now={role} onChange={setRole} />
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={name ? null : 'Say the name'} onClick={save}>
            Add them
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function EditUser({ user, onClose, onDone }: { user: User; onClose: () => void; onDone: () => void }) {
  const [role, setRole] = useState(user.role);
  const [disabled, setDisabled] = useState(user.disabled);
  const [project, setProject] = useState('');
  const [projectRole, setProjectRole] = useState('member');
  const [problem, setProblem] = useState<Problem | null>(null);
  const path = `users/${encodeURIComponent(user.id)}`;
  const tried = async (work: () => Promise<unknown>) => {
    setProblem(null);
    try {
      await work();
      onDone();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title={user.name} onClose={onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        <RoleField now={role} onChange={setRole} />
        <label class="check">
          <input type="checkbox" checked={disabled} onChange={(event) => setDisabled(event.currentTarget.checked)} /> <span>Locked out: logins end and no key of theirs works</span>
        </label>
        <div class="field">
          <span class="name">In projects</span>
          {user.projects.length === 0 && <span class="help">None of their own.</span>}
          {user.projects.map((one) => (
            <span class="line" key={one.project}>
              <span title={one.project}>{projectName(one.project)}</span> <span class="muted">{roleTitle(one.role)}</span>
              <Button small kind="quiet" label={`Take away the role in ${projectName(one.project)}`} onClick={() => tried(() => put(`${path}/roles`, { project: one.project, role: '' }, asRead(user)))}>
                <Icon name="cross" />
              </Button>
            </span>
          ))}
          <span class="line">
            <input aria-label="Project, its folder" placeholder="/srv/shop" value={project} spellcheck={false} onInput={(event) => setProject(event.currentTarget.value.trim())} />
            <select aria-label="Role in the project" value={projectRole} onChange={(event) => setProjectRole(event.currentTarget.value)}>
              {roles.slice(1).map((one) => (
                <option key={one.id} value={one.id}>
                  {one.title}
                </option>
              ))}
            </select>
            <Button small why={project ? null : 'Name the folder of the project'} onClick={() => tried(() => put(`${path}/roles`, { project, role: projectRole }, asRead(user)))}>
              Give the role
            </Button>
          </span>
        </div>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" onClick={() => tried(() => request('PATCH', path, { body: { role, disabled }, ...asRead(user) }))}>
            Save
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function Users() {
  const data = useData<{ users: User[] }>('users', { topics: ['access'] });
  const [adding, setAdding] = useState(false);
  const [edited, setEdited] = useState<User | null>(null);
  const [removed, setRemoved] = useState<User | null>(null);
  const [link, setLink] = useState<{ token: string; name: string } | null>(null);
  const reset = async (user: User) => setLink({ token: tokenOf(await post(`users/${encodeURIComponent(user.id)}/reset`)), name: user.name });
  const remove = async () => {
    if (!removed) return;
    await del(`users/${encodeURIComponent(removed.id)}`, asRead(removed));
    toast(`${removed.name} is removed`);
    setRemoved(null);
    data.reload();
  };
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
      Add a user
    </Button>
  );
  return (
    <Loaded of={data} what="users">
      {({ users }) => (
        <div class="section">
          {users.length === 0 ? (
            <Empty title="Nobody has an account yet" action={add} command="nightmill user add NAME">
              On this machine itself nobody needs one. People who come from elsewhere appear here with their role and when they were last seen.
            </Empty>
          ) : (
            <>
              <div class="head">
                <h2>
                  {users.length} {users.length === 1 ? 'user' : 'users'}
                </h2>
                {add}
              </div>
              <Table
                caption="Users"
                rows={users}
                id={(one) => one.id}
                columns={[
                  {
                    name: 'Name',
                    wide: true,
                    cell: (one) => (
                      <span class="two-lines">
                        <span>
                          <b>
                            <Cut text={one.name} most={100} />
                          </b>{' '}
                          {one.id === session.value?.user?.id && <span class="muted">you</span>} {one.kind === 'service' && <span class="muted">service</span>}
                        </span>
                        {one.projects.length > 0 && <span class="small">{one.projects.map((p) => `${projectName(p.project)}: ${roleTitle(p.role)}`).join(', ')}</span>}
                      </span>
                    ),
                  },
                  { name: 'Role', cell: (one) => roleTitle(one.role) },
                  {
                    name: 'State',
                    label: false,
                    cell: (one) => (one.disabled ? <Outcome good={null} word="Locked out" /> : one.kind === 'person' && !one.has_password ? <span class="you">Has not come yet</span> : <span>Active</span>),
                  },
                  { name: 'Seen', cell: (one) => (one.seen_at ? <Time at={one.seen_at} /> : <span class="muted">never</span>) },
                  {
                    name: 'Do',
                    label: false,
                    cell: (one) => (
                      <span class="line people-do">
                        <Button small onClick={() => setEdited(one)} label={`Change ${one.name}`}>
                          Change
                        </Button>
                        {one.kind === 'person' && (
                          <Button small kind="quiet" onClick={() => reset(one)} label={`A link for ${one.name} to choose a password`}>
                            Password link
                          </Button>
                        )}
                        <Button small kind="quiet" onClick={() => setRemoved(one)} label={`Remove ${one.name}`}>
                          <Icon name="cross" />
                        </Button>
                      </span>
                    ),
                  },
                ]}
              />
            </>
          )}
          {adding && (
            <AddUser
              onClose={() => setAdding(false)}
              onDone={(token, name) => {
                setAdding(false);
                data.reload();
                if (token) setLink({ token, name });
              }}
            />
          )}
          {edited && <EditUser user={edited} onClose={() => setEdited(null)} onDone={() => (setEdited(null), data.reload())} />}
          {link && <Once title={`A link for ${link.name}`} words="With it they choose a password. It is good for one use and 30 minutes, and shown this once." text={linkOf(link.token)} onClose={() => setLink(null)} />}
          <Dialog open={!!removed} title={`Remove ${removed?.name ?? ''}`} onClose={() => setRemoved(null)}>
            <div class="body">
              <p>Their logins end at once and their roles are gone; this cannot be taken back. What they did stays in the audit, the ledger and the tasks.</p>
              <div class="actions">
                <Button onClick={() => setRemoved(null)}>Keep them</Button>
                <Button kind="danger" onClick={remove}>
                  Remove {removed?.name}
                </Button>
              </div>
            </div>
          </Dialog>
        </div>
      )}
    </Loaded>
  );
}
