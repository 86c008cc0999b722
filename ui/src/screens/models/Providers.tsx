// Providers: where models are asked, with which key. A key is written and never shown; only whether it is there.
import { useState } from 'preact/hooks';
import { Problem, asRead, del, post, put } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Cut, Dialog, Empty, Field, Icon, Outcome, Table, durationText, toast } from '../../parts';
import { may } from '../../session';
import { Loaded } from '../list';
import type { Provider, ProviderKind, ProviderTest, Providers } from './types';

export function ProviderDialog({ kinds, known, onClose, onDone }: { kinds: ProviderKind[]; known: Provider | null; onClose: () => void; onDone: (id: string) => void }) {
  const [kind, setKind] = useState(known?.kind ?? kinds[0]?.name ?? '');
  const [id, setId] = useState(known?.id ?? '');
  const [url, setUrl] = useState(known?.url ?? '');
  const [key, setKey] = useState('');
  const [dialect, setDialect] = useState(known?.dialect ?? '');
  const [result, setResult] = useState<ProviderTest | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const row = kinds.find((one) => one.name === kind);
  const name = id || kind;
  const own = !row?.url;
  const why = !name ? 'Say its name' : own && !url ? 'Say its address' : !known && !key && row?.key_variable && !own ? 'Paste its key' : null;
  const save = async () => {
    setProblem(null);
    try {
      await put(`providers/${encodeURIComponent(name)}`, {
        ...(known ? {} : { kind }),
        ...(url && url !== row?.url ? { url } : {}),
        ...(key ? { key } : {}),
        ...(own && dialect ? { dialect } : {}),
      }, known && !result ? asRead(known) : {});
      setKey('');
      setResult(await post<ProviderTest>(`providers/${encodeURIComponent(name)}/test`));
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title={known ? `Provider ${known.id}` : 'Add a provider'} onClose={() => (result ? onDone(name) : onClose())}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
            {problem.detail && <div class="small muted">{problem.detail}</div>}
          </Banner>
        )}
        {result ? (
          <>
            <Banner kind="good" icon="check" role="status">
              {name} answers in {durationText(result.latency_ms)} and offers {result.models.length} {result.models.length === 1 ? 'model' : 'models'}.
            </Banner>
            {result.models.length > 0 && <p class="small muted">{result.models.slice(0, 20).join(', ')}{result.models.length > 20 && ` and ${result.models.length - 20} more`}</p>}
            <div class="actions">
              <Button kind="primary" onClick={() => onDone(name)}>
                Done
              </Button>
            </div>
          </>
        ) : (
          <>
            {!known && (
              <Field name="Kind">
                {(at) => (
                  <select {...at} value={kind} onChange={(event) => (setKind(event.currentTarget.value), setUrl(''))}>
                    {kinds.map((one) => (
                      <option key={one.name} value={one.name}>
                        {one.title}
                      </option>
                    ))}
                  </select>
                )}
              </Field>
            )}
            {!known && (
              <Field name="Name" optional={!own} help={`How it is called here; empty: ${kind}.`}>
                {(at) => <input {...at} value={id} maxLength={64} placeholder={kind} spellcheck={false} onInput={(event) => setId(event.currentTarget.value.trim())} />}
              </Field>
            )}
            <Field name="Address" optional={!own} help={row?.url ? `Empty: ${row.url}` : 'Such as http://127.0.0.1:8080'}>
              {(at) => <input {...at} type="url" value={url} placeholder={row?.url ?? ''} spellcheck={false} onInput={(event) => setUrl(event.currentTarget.value.trim())} />}
            </Field>
            {own && (
              <Field name="Speaks" help="What the server understands.">
                {(at) => (
                  <select {...at} value={dialect || 'chat'} onChange={(event) => setDialect(event.currentTarget.value)}>
                    {['chat', 'responses', 'messages', 'gemini'].map((one) => (
                      <option key={one}>{one}</option>
                    ))}
                  </select>
                )}
              </Field>
            )}
            <Field name={known ? 'Another key' : 'Key'} optional={!!known || own} help={known ? (known.key.known ? 'A key is there. It is kept until you give another one.' : (known.key.problem ?? 'There is no key.')) : 'It is sealed on the server, used for requests alone, and never shown again.'}>
              {(at) => <input {...at} type="password" value={key} autocomplete="off" onInput={(event) => setKey(event.currentTarget.value.trim())} />}
            </Field>
            <div class="actions">
              <Button onClick={onClose}>Cancel</Button>
              <Button kind="primary" why={why} onClick={save}>
                Save and test
              </Button>
            </div>
          </>
        )}
      </div>
    </Dialog>
  );
}

type Tested = { result?: ProviderTest; problem?: Problem };

export function ProviderList() {
  const data = useData<Providers>('providers', { topics: ['models'] });
  const [open, setOpen] = useState<{ known: Provider | null } | null>(null);
  const [tested, setTested] = useState<Record<string, Tested>>({});
  const [removing, setRemoving] = useState<Provider | null>(null);
  const changes = may('admin');
  const test = async (one: Provider) => {
    let found: Tested;
    try {
      found = { result: await post<ProviderTest>(`providers/${encodeURIComponent(one.id)}/test`) };
    } catch (error) {
      found = { problem: error as Problem };
    }
    setTested((now) => ({ ...now, [one.id]: found }));
  };
  const remove = async () => {
    if (!removing) return;
    await del(`providers/${encodeURIComponent(removing.id)}`, asRead(removing));
    toast(`The provider ${removing.id} is removed`);
    setRemoving(null);
    data.reload();
  };
  const switchOn = async (one: Provider) => {
    await put(`providers/${encodeURIComponent(one.id)}`, { enabled: !one.enabled }, asRead(one));
    data.reload();
  };
  const add = changes && (
    <Button kind="primary" icon="plus" onClick={() => setOpen({ known: null })}>
      Add a provider
    </Button>
  );
  return (
    <Loaded of={data} what="providers">
      {({ providers, kinds }) => (
        <div class="section">
          {providers.length === 0 ? (
            <Empty title="No provider is known" action={add || undefined} command="nightmill provider set anthropic">
              A provider is where models are asked. Paste a key and it is tested at once; a server of your own on this machine needs none.
            </Empty>
          ) : (
            <>
              <div class="head">
                <h2>
                  {providers.length} {providers.length === 1 ? 'provider' : 'providers'}
                </h2>
                {add}
              </div>
              <Table
                caption="Providers"
                rows={providers}
                id={(one) => one.id}
                columns={[
                  {
                    name: 'Provider',
                    wide: true,
                    cell: (one) => (
                      <span class="two-lines">
                        <span>
                          <b>
                            <Cut text={one.id} most={120} />
                          </b> {one.id !== one.kind && <span class="muted">{one.title}</span>}
                        </span>
                        <span class="small mono">{one.url}</span>
                      </span>
                    ),
                  },
                  { name: 'Key', cell: (one) => <Outcome good={one.key.known ? true : null} word={one.key.known ? (one.key.reference ? `There (${one.key.reference.split(':')[0]})` : 'Not needed') : 'Missing'} /> },
                  {
                    name: 'Now',
                    label: false,
                    cell: (one) => {
                      const found = tested[one.id];
                      if (!one.enabled) return <span class="muted">Off</span>;
                      if (found?.result) return <Outcome good word={`Answers in ${durationText(found.result.latency_ms)}, ${found.result.models.length} models`} />;
                      if (found?.problem)
                        return (
                          <span class="two-lines">
                            <Outcome good={false} word="Does not answer" />
                            <span class="small">{found.problem.words}</span>
                          </span>
                        );
                      return one.key.known ? <span class="muted">Not tested yet</span> : <span class="small muted">{one.key.problem}</span>;
                    },
                  },
                  {
                    name: 'Do',
                    label: false,
                    cell: (one) =>
                      changes && (
                        <span class="line models-do">
                          <Button small onClick={() => test(one)} label={`Test ${one.id}`}>
                            Test
                          </Button>
                          <Button small kind="quiet" onClick={() => setOpen({ known: one })} label={`Change ${one.id}`}>
                            Change
                          </Button>
                          {!one.implicit && (
                            <Button small kind="quiet" onClick={() => switchOn(one)} label={`Switch ${one.id} ${one.enabled ? 'off' : 'on'}`}>
                              {one.enabled ? 'Off' : 'On'}
                            </Button>
                          )}
                          {!one.implicit && (
                            <Button small kind="quiet" onClick={() => setRemoving(one)} label={`Remove ${one.id}`}>
                              <Icon name="cross" />
                            </Button>
                          )}
                        </span>
                      ),
                  },
                ]}
              />
            </>
          )}
          {open && <ProviderDialog kinds={kinds} known={open.known} onClose={() => (setOpen(null), data.reload())} onDone={() => (setOpen(null), data.reload())} />}
          <Dialog open={!!removing} title={`Remove the provider ${removing?.id ?? ''}`} onClose={() => setRemoving(null)}>
            <div class="body">
              <p>Its sealed key is destroyed and cannot be brought back. Models that it serves must be removed first. The ledger keeps its rows.</p>
              <div class="actions">
                <Button onClick={() => setRemoving(null)}>Keep it</Button>
                <Button kind="danger" onClick={remove}>
                  Remove it
                </Button>
              </div>
            </div>
          </Dialog>
        </div>
      )}
    </Loaded>
  );
}
