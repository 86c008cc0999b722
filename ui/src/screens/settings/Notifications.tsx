// Where word is sent when nobody looks: browsers, webhooks, e-mail; and what became of each message.
import { useEffect, useState } from 'preact/hooks';
import { Problem, asRead, del, post, put } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Command, Copy, Cut, Dialog, Empty, Field, Icon, Outcome, Switch, Table, Time, durationText, toast } from '../../parts';
import { Link } from '../../router';
import { may } from '../../session';
import { Filters, Loaded, Pages, pageQuery, type Filter } from '../list';
import { pushHere, pushProblem, subscribePush, unsubscribePush } from './push';
import type { Channel, Notice } from './types';
import type { Schemas } from '../../types';

type Tested = Schemas['ChannelTest'];

const levels = [
  { id: 'now', title: 'Needs you', help: 'a question, a limit, a hard budget' },
  { id: 'done', title: 'Done', help: 'a task has ended' },
  { id: 'digest', title: 'Digest', help: 'one summary a day' },
];
const kinds: Record<string, string> = { webhook: 'Webhook', email: 'E-mail', push: 'Browser' };

function Levels({ now, onChange, label }: { now: string[]; onChange: (now: string[]) => void; label: string }) {
  return (
    <fieldset class="levels" aria-label={label}>
      {levels.map((one) => (
        <label class="check" key={one.id}>
          <input type="checkbox" checked={now.includes(one.id)} onChange={(event) => onChange(event.currentTarget.checked ? [...now, one.id] : now.filter((id) => id !== one.id))} />
          <span>
            {one.title} <span class="small muted">{one.help}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function ChannelDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [kind, setKind] = useState('webhook');
  const [name, setName] = useState('');
  const [target, setTarget] = useState('');
  const [chosen, setChosen] = useState(['now', 'done']);
  const [made, setMade] = useState<Channel | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const save = async () => {
    setProblem(null);
    try {
      const channel = await post<Channel>('notifications/channels', { kind, name: name || target, target, levels: chosen });
      if (channel.secret) setMade(channel);
      else onDone();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title={made ? 'The webhook is made' : 'Add a channel'} onClose={made ? onDone : onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        {made ? (
          <>
            <p>Its receiver checks the signature of each message with this secret. It is shown this once.</p>
            <div class="line">
              <code class="settings-secret">{made.secret}</code>
              <Copy text={made.secret ?? ''} what="the secret" />
            </div>
            <div class="actions">
              <Button kind="primary" onClick={onDone}>
                I have it
              </Button>
            </div>
          </>
        ) : (
          <>
            <Switch label="Kind" choices={[{ id: 'webhook', title: 'Webhook' }, { id: 'email', title: 'E-mail' }]} now={kind} onChoose={setKind} />
            <Field name={kind === 'email' ? 'Address' : 'URL'} help={kind === 'email' ? 'The mail server is the setting notify.smtp_server.' : 'Signed JSON is posted there, again with growing waits until it answers 2xx.'}>
              {(at) => <input {...at} type={(kind === 'email' ? 'email' : 'url') as 'url'} value={target} autoFocus spellcheck={false} onInput={(event) => setTarget(event.currentTarget.value.trim())} />}
            </Field>
            <Field name="Name" optional>
              {(at) => <input {...at} value={name} maxLength={100} onInput={(event) => setName(event.currentTarget.value)} />}
            </Field>
            <Levels label="What is sent there" now={chosen} onChange={setChosen} />
            <div class="actions">
              <Button onClick={onClose}>Cancel</Button>
              <Button kind="primary" why={!target ? 'Say where to' : !chosen.length ? 'Choose what is sent' : null} onClick={save}>
                Add it
              </Button>
            </div>
          </>
        )}
      </div>
    </Dialog>
  );
}

function ThisBrowser({ onChanged }: { onChanged: () => void }) {
  const [here, setHere] = useState<boolean | null>(null);
  const problem = pushProblem();
  useEffect(() => {
    pushHere().then(
      (found) => setHere(!!found),
      () => setHere(false),
    );
  }, []);
  if (problem) return <Banner icon="bell">{problem}</Banner>;
  if (here === null) return null;
  return here ? (
    <Banner
      kind="good"
      icon="bell"
      actions={
        <Button
          small
          onClick={async () => {
            await unsubscribePush();
            setHere(false);
            onChanged();
          }}
        >
          No longer here
        </Button>
      }
    >
      This browser is told when a task needs you, also when this page is closed.
    </Banner>
  ) : (
    <Banner
      icon="bell"
      actions={
        <Button
          small
          onClick={async () => {
            await subscribePush(['now']);
            setHere(true);
            onChanged();
          }}
        >
          Notify me here
        </Button>
      }
    >
      This browser can tell you when a task needs you, also when this page is closed. A message says no more than which task.
    </Banner>
  );
}


function Channels({ data }: { data: ReturnType<typeof useData<{ channels: Channel[] }>> }) {
  const [adding, setAdding] = useState(false);
  const [tested, setTested] = useState<Record<string, Tested>>({});
  const changes = may('admin');
  const path = (one: Channel) => `notifications/channels/${encodeURIComponent(one.id)}`;
  const test = async (one: Channel) => {
    const found = await post<Tested>(`${path(one)}/test`);
    setTested((now) => ({ ...now, [one.id]: found }));
  };
  const change = async (one: Channel, to: Partial<Channel>) => {
    await put(path(one), to, asRead(one));
    data.reload();
  };
  const remove = async (one: Channel) => {
    await del(path(one), asRead(one));
    data.reload();
    toast(`${one.name} is no longer told`);
  };
  const add = changes && (
    <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
      Add a channel
    </Button>
  );
  return (
    <Loaded of={data} what="channels">
      {({ channels }) => (
        <div class="section">
          {channels.length === 0 ? (
            <Empty title="Nobody is told when no page is open" action={add || undefined} command="nightmill notify add webhook URL">
              Channels appear here: this browser, a webhook, an e-mail address; each with what is sent there and whether it arrives.
            </Empty>
          ) : (
            <>
              <div class="head">
                <h2>
                  {channels.length} {channels.length === 1 ? 'channel' : 'channels'}
                </h2>
                {add}
              </div>
              <Table
                caption="Channels"
                rows={channels}
                id={(one) => one.id}
                columns={[
                  {
                    name: 'Channel',
                    wide: true,
                    cell: (one) => (
                      <span class="two-lines">
                        <span>
                          <b>
                            <Cut text={one.name} most={100} />
                          </b>{' '}
                          <span class="muted">{kinds[one.kind] ?? one.kind}</span>
                        </span>
                        <span class="small">
                          <Cut text={one.target} most={200} />
                        </span>
                      </span>
                    ),
                  },
                  { name: 'Is told', cell: (one) => levels.filter((level) => one.levels.includes(level.id)).map((level) => level.title).join(', ') || 'nothing' },
                  {
                    name: 'Now',
                    label: false,
                    cell: (one) => {
                      const found = tested[one.id];
                      return (
                        <span class="two-lines">
                          {found ? (
                            <Outcome good={found.ok} word={found.ok ? `Arrived in ${durationText(found.ms)}` : 'Did not arrive'} />
                          ) : !one.enabled ? (
                            <span class="muted">Off</span>
                          ) : one.problem ? (
                            <Outcome good={false} word={`Failed ${one.failures} times`} />
                          ) : one.last_ok_at ? (
                            <span>
                              last arrived <Time at={one.last_ok_at} />
                            </span>
                          ) : (
                            <span class="muted">nothing sent yet</span>
                          )}
                          {(found?.words || one.problem) && (
                            <span class="small">
                              <Cut text={found?.words ?? one.problem ?? ''} most={200} />
                            </span>
                          )}
                        </span>
                      );
                    },
                  },
                  {
                    name: 'Do',
                    label: false,
                    cell: (one) =>
                      changes && (
                        <span class="line">
                          <Button small onClick={() => test(one)} label={`Send a test to ${one.name}`}>
                            Send test
                          </Button>
                          <Button small kind="quiet" onClick={() => change(one, { enabled: !one.enabled })} label={`Switch ${one.name} ${one.enabled ? 'off' : 'on'}`}>
                            {one.enabled ? 'Off' : 'On'}
                          </Button>
                          <Button small kind="quiet" onClick={() => remove(one)} label={`Remove ${one.name}`}>
                            <Icon name="cross" />
                          </Button>
                        </span>
                      ),
                  },
                ]}
              />
            </>
          )}
          {adding && <ChannelDialog onClose={() => setAdding(false)} onDone={() => (setAdding(false), data.reload())} />}
        </div>
      )}
    </Loaded>
  );
}

const filters: Filter[] = [{ name: 'level', title: 'Level', choices: [{ id: '', title: 'any' }, ...levels.map((one) => ({ id: one.id, title: one.title }))] }];

export function Notifications({ query }: { query: URLSearchParams }) {
  const channels = useData<{ channels: Channel[] }>('notifications/channels', { topics: ['notifications'] });
  const sent = useData<{ notifications: Notice[]; next: number | null }>('notifications', { query: pageQuery(query, filters, { limit: 30 }), topics: query.get('before') ? [] : ['notifications'] });
  const nameOf = (id: string) => channels.data?.channels.find((one) => one.id === id)?.name ?? id;
  return (
    <div class="stack">
      <ThisBrowser onChanged={channels.reload} />
      <Channels data={channels} />
      <div class="section">
        <div class="head">
          <h2>What was told</h2>
          <Filters filters={filters} label="Filter what was told" />
        </div>
        <Loaded of={sent} what="what was told">
          {({ notifications, next }) =>
            notifications.length === 0 ? (
              <p class="muted">
                Nothing yet. On the command line: <Command line="nightmill notify log" />
              </p>
            ) : (
              <>
                <Table
                  caption="What was told"
                  rows={notifications}
                  id={(one) => one.id}
                  columns={[
                    { name: 'Time', label: false, cell: (one) => <Time at={one.at} how="exact" /> },
                    { name: 'Level', label: false, cell: (one) => <span class={one.level === 'now' ? 'you' : 'muted'}>{levels.find((level) => level.id === one.level)?.title ?? one.level}</span> },
                    {
                      name: 'What',
                      wide: true,
                      cell: (one) => (
                        <span>
                          <Cut text={one.words} most={300} />{' '}
                          {one.task && (
                            <Link to={`/tasks/${one.task}`} class="mono">
                              {one.task}
                            </Link>
                          )}
                        </span>
                      ),
                    },
                    {
                      name: 'To',
                      cell: (one) =>
                        one.deliveries.length === 0 ? (
                          <span class="muted">no channel</span>
                        ) : (
                          <span class="two-lines">
                            {one.deliveries.map((delivery) => (
                              <span key={delivery.id}>
                                {nameOf(delivery.channel)}: {delivery.state === 'sent' ? 'arrived' : delivery.state === 'waiting' ? `waits, attempt ${delivery.attempts}` : delivery.state}
                                {delivery.words && <span class="small muted"> {delivery.words}</span>}
                              </span>
                            ))}
                          </span>
                        ),
                    },
                  ]}
                />
                <Pages next={next} count={notifications.length} what="message" />
              </>
            )
          }
        </Loaded>
      </div>
    </div>
  );
}
