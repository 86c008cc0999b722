// Which model does the work: a provider with its key or address, tried at once. The first run and the first steps have it.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Problem, get, post, put } from '../../api';
import { Banner, Button, Field, durationText } from '../../parts';
import type { Provider, ProviderTest, Providers } from '../models/types';

export const Failed = ({ problem }: { problem: Problem | null }) =>
  problem && (
    <Banner kind="bad" icon="warning" role="alert">
      {problem.words}
      {problem.detail && <div class="small muted">{problem.detail}</div>}
    </Banner>
  );

// A provider that answers already (its key is in the daemon's environment, say) needs nothing.
// `aside`: what else can be done here.
export function Model({ onDone, done = 'Go on', aside }: { onDone: () => void; done?: string; aside?: ComponentChildren }) {
  const [known, setKnown] = useState<Providers | null>(null);
  const [kind, setKind] = useState('anthropic');
  const [key, setKey] = useState('');
  const [url, setUrl] = useState('');
  const [result, setResult] = useState<ProviderTest | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    get<Providers>('providers').then(setKnown, (error: Problem) => setProblem(error));
  }, []);
  const row = known?.kinds.find((one) => one.name === kind);
  const own = !!row && !row.url;
  const there = known?.providers.filter((one) => one.key.known && one.enabled) ?? [];
  const test = async (provider: Pick<Provider, 'id'>) => {
    setProblem(null);
    try {
      setResult(await post<ProviderTest>(`providers/${encodeURIComponent(provider.id)}/test`));
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  const save = async () => {
    setProblem(null);
    try {
      await put(`providers/${kind}`, { kind, ...(key ? { key } : {}), ...(url ? { url } : {}) });
      setKey('');
    } catch (error) {
      setProblem(error as Problem);
      return;
    }
    await test({ id: kind });
  };
  if (result)
    return (
      <div class="stack">
        <Banner kind="good" icon="check" role="status">
          {result.provider} answers in {durationText(result.latency_ms)} and offers {result.models.length} {result.models.length === 1 ? 'model' : 'models'}.
        </Banner>
        <Button kind="primary" onClick={onDone}>
          {done}
        </Button>
      </div>
    );
  return (
    <div class="stack">
      <Failed problem={problem} />
      {there.length > 0 && (
        <Banner icon="key" actions={<Button small onClick={() => test(there[0]!)}>{`Test ${there[0]!.id}`}</Button>}>
          A key for {there.map((one) => one.id).join(', ')} is there already.
        </Banner>
      )}
      <Field name="Provider">
        {(at) => (
          <select {...at} value={kind} onChange={(event) => (setKind(event.currentTarget.value), setUrl(''))}>
            {known?.kinds.map((one) => (
              <option key={one.name} value={one.name}>
                {one.title}
              </option>
            ))}
          </select>
        )}
      </Field>
      {own && (
        <Field name="Address" help="A server of your own, such as http://127.0.0.1:8080: then no key may be needed.">
          {(at) => <input {...at} type="url" value={url} spellcheck={false} onInput={(event) => setUrl(event.currentTarget.value.trim())} />}
        </Field>
      )}
      <Field name="Key" optional={own} help="It is sealed on this server, used for requests alone, and never shown again.">
        {(at) => <input {...at} type="password" autocomplete="off" value={key} onInput={(event) => setKey(event.currentTarget.value.trim())} />}
      </Field>
      <div class="line">
        <Button kind="primary" why={own ? (url ? null : 'Say its address') : key ? null : 'Paste the key'} onClick={save}>
          Save and test
        </Button>
        {aside}
      </div>
    </div>
  );
}
