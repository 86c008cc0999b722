// Models: which provider serves a name, what a million tokens cost, whether it answers now.
import { useState } from 'preact/hooks';
import { Problem, del, post } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Cut, Dialog, Empty, Field, Icon, Money, Outcome, Table, Time, durationText, moneyText, toast } from '../../parts';
import { Link } from '../../router';
import { may, mayAsk } from '../../session';
import { Loaded, tokensText } from '../list';
import type { Model, ModelTest, Models, Price, Providers } from './types';

const amount = /^\d{1,9}([.,]\d{1,12})?$/;

function PriceDialog({ model, price, onClose, onDone }: { model: string; price: Price | null; onClose: () => void; onDone: () => void }) {
  const [values, setValues] = useState({ input: price?.input ?? '', output: price?.output ?? '', cache_read: price?.cache_read ?? '', cache_write: price?.cache_write ?? '' });
  const [problem, setProblem] = useState<Problem | null>(null);
  const names = { input: 'Input', output: 'Output', cache_read: 'Read from the cache', cache_write: 'Written to the cache' } as const;
  const wrong = Object.values(values).some((one) => one && !amount.test(one));
  const save = async () => {
    try {
      const body: Record<string, string> = { model, source: 'set by hand' };
      for (const [name, value] of Object.entries(values)) if (value) body[name] = value.replace(',', '.');
      await post('prices', { ...body, ...(price ? { currency: price.currency } : {}) });
      toast(`The price of ${model} holds from now on; what was spent before keeps its own`);
      onDone();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title={`Price of ${model}`} onClose={onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        <p class="muted">{price?.currency ?? 'In the currency of the settings'}, for a million tokens.</p>
        <div class="form-grid">
          {(Object.keys(names) as (keyof typeof names)[]).map((name) => (
            <Field key={name} name={names[name]} optional={name.startsWith('cache')} wrong={values[name] && !amount.test(values[name]) ? 'An amount such as 3 or 0.30' : null}>
              {(id) => <input {...id} inputMode="decimal" value={values[name]} onInput={(event) => setValues({ ...values, [name]: event.currentTarget.value.trim() })} />}
            </Field>
          ))}
        </div>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={wrong || !values.input || !values.output ? 'Input and output need an amount' : null} onClick={save}>
            Set the price
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function AddModel({ providers, onClose, onDone }: { providers: string[]; onClose: () => void; onDone: () => void }) {
  const [id, setId] = useState('');
  const [provider, setProvider] = useState(providers[0] ?? '');
  const [upstream, setUpstream] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const save = async () => {
    try {
      await post('models', { id, provider, ...(upstream ? { upstream } : {}) });
      toast(`${id} is served by ${provider}`);
      onDone();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title="Add a model" onClose={onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        <Field name="Name" help="As it is asked for, such as qwen3-coder.">
          {(at) => <input {...at} value={id} autoFocus spellcheck={false} maxLength={200} onInput={(event) => setId(event.currentTarget.value.trim())} />}
        </Field>
        <Field name="Provider">
          {(at) => (
            <select {...at} value={provider} onChange={(event) => setProvider(event.currentTarget.value)}>
              {providers.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          )}
        </Field>
        <Field name="Name there" optional help="What the provider calls it; empty: the same.">
          {(at) => <input {...at} value={upstream} spellcheck={false} maxLength={200} onInput={(event) => setUpstream(event.currentTarget.value.trim())} />}
        </Field>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={!id ? 'Say its name' : !provider ? 'Add a provider first' : null} onClick={save}>
            Add it
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function TestResult({ of }: { of: ModelTest }) {
  return (
    <div class="stack tight">
      {of.results.map((one, i) => (
        <div class="line" key={i}>
          <Outcome good={one.ok} word={one.ok ? `answers in ${durationText(one.latency_ms)}` : 'does not answer'} />
          <span class="muted">
            {one.provider}, {one.served ?? one.upstream}
          </span>
          {!one.ok && <span>{[one.problem, one.hint].filter(Boolean).join(': ')}</span>}
        </div>
      ))}
      {of.not_tried > 0 && <p class="muted small">{of.not_tried} further ones were not tried.</p>}
    </div>
  );
}

export function ModelList() {
  const data = useData<Models>('models', { topics: ['models', 'money'] });
  const providers = useData<Providers>('providers', { topics: ['models'], off: !mayAsk('providers_list') });
  const [adding, setAdding] = useState(false);
  const [priced, setPriced] = useState<Model | null>(null);
  const [tested, setTested] = useState<ModelTest | null>(null);
  const changes = may('admin');
  const test = async (model: Model) => setTested(await post<ModelTest>('models/test', { model: model.id }));
  const remove = async (model: Model) => {
    await del('models', { query: { id: model.id, provider: model.provider } });
    data.reload();
    toast(`${model.id} is no longer served by ${model.provider}`, {
      action: {
        words: 'Undo',
        do: async () => {
          await post('models', { id: model.id, provider: model.provider, upstream: model.upstream, weight: model.weight, context: model.context, max_output: model.max_output });
          data.reload();
        },
      },
    });
  };
  const add = changes && (
    <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
      Add a model
    </Button>
  );
  return (
    <Loaded of={data} what="models">
      {({ models, by_name }) => (
        <div class="section">
          {models.length === 0 ? (
            <Empty
              title="No model has a row of its own"
              action={
                <span class="line">
                  {add}
                  <Link to="/models?tab=providers">Providers</Link>
                </span>
              }
              command="nightmill model add NAME --provider PROVIDER"
            >
              Models that a provider is asked for by name need none{by_name.length > 0 && `: ${by_name.map((one) => `${one.prefix}… at ${one.provider}`).join(', ')}`}. Others appear here with their price and whether they answer.
            </Empty>
          ) : (
            <>
              <div class="head">
                <h2>
                  {models.length} {models.length === 1 ? 'model' : 'models'}
                  {models.some((one) => !one.price) && `, ${models.filter((one) => !one.price).length} without a known price`}
                </h2>
                {add}
              </div>
              <Table
                caption="Models"
                rows={models}
                id={(one) => `${one.id} ${one.provider} ${one.upstream}`}
                columns={[
                  {
                    name: 'Model',
                    wide: true,
                    cell: (one) => (
                      <span class="two-lines">
                        <b>
                          <Cut text={one.id} most={120} />
                        </b>
                        <span class="small">
                          {one.provider}
                          {one.upstream !== one.id && `, there ${one.upstream}`}
                        </span>
                      </span>
                    ),
                  },
                  { name: 'Now', label: false, cell: (one) => <Outcome good={one.available ? true : null} word={one.available ? 'Available' : 'Not available'} /> },
                  { name: 'Context', number: true, cell: (one) => (one.context ? tokensText(one.context) : <span class="muted">unknown</span>) },
                  {
                    name: 'In / out a million',
                    number: true,
                    cell: (one) =>
                      one.price ? (
                        <span class="two-lines">
                          <span class="mono">
                            {moneyText(one.price.input)} / {moneyText(one.price.output)} <span class="muted">{one.price.currency}</span>
                          </span>
                          <span class="small" title={one.price.source}>
                            since <Time at={one.price.from} how="exact" />
                          </span>
                        </span>
                      ) : (
                        <Money amount={null} />
                      ),
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
                          <Button small kind="quiet" onClick={() => setPriced(one)} label={`Price of ${one.id}`}>
                            Price
                          </Button>
                          <Button small kind="quiet" onClick={() => remove(one)} label={`Remove ${one.id} at ${one.provider}`}>
                            <Icon name="cross" />
                          </Button>
                        </span>
                      ),
                  },
                ]}
              />
              {by_name.length > 0 && <p class="small muted">Names that need no row: {by_name.map((one) => `${one.prefix}… at ${one.provider}`).join(', ')}.</p>}
            </>
          )}
          {adding && <AddModel providers={providers.data?.providers.map((one) => one.id) ?? []} onClose={() => setAdding(false)} onDone={() => (setAdding(false), data.reload())} />}
          {priced && <PriceDialog model={priced.id} price={priced.price} onClose={() => setPriced(null)} onDone={() => (setPriced(null), data.reload())} />}
          <Dialog open={!!tested} title={`Test of ${tested?.model ?? ''}`} onClose={() => setTested(null)}>
            <div class="body">
              {tested && <TestResult of={tested} />}
              <p class="small muted">A real request of a few tokens; it stands in the ledger.</p>
              <div class="actions">
                <Button onClick={() => setTested(null)}>Close</Button>
              </div>
            </div>
          </Dialog>
        </div>
      )}
    </Loaded>
  );
}
