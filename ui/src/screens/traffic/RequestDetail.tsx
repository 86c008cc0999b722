// One request to a model: its attempts, its counts, and what was said, as far as it is kept. Known secrets stand in it as
// [redacted:NAME]; the server took them out before it wrote anything down.
import { useData } from '../../live';
import { Banner, Copy, Cut, Money, Table, Time, durationText } from '../../parts';
import { Link } from '../../router';
import type { ScreenProps } from '../../screens';
import { Head, Loaded, countText, sizeText } from '../list';
import { Mark } from './marks';
import { outcomeOf } from './RequestList';
import type { KeptBody, ModelRequest } from './types';
import './traffic.css';

// JSON is shown with its lines; anything else as it came.
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
const whyNot: Record<string, string> = {
  '': 'It is not kept: the setting record.keep, or the policy of the project, says so.',
  expired: 'It was kept and is gone with its time (record.days_bodies).',
};

function Kept({ title, of, state, bytes }: { title: string; of: KeptBody | null | undefined; state: string; bytes: number }) {
  const text = of?.text ? pretty(of.text) : '';
  return (
    <div class="section">
      <div class="head">
        <h2>{title}</h2>
        <span class="small muted">{sizeText(bytes)}</span>
        {text && <Copy text={text} what={title} />}
      </div>
      {!of ? (
        <p class="muted">{whyNot[state] ?? 'It is not kept.'}</p>
      ) : of.text === undefined ? (
        <p class="muted">It is no text ({sizeText(Math.floor(((of.base64?.length ?? 0) * 3) / 4))}).</p>
      ) : (
        <pre class="block" tabIndex={0}>
          <Cut text={text} most={200_000} />
        </pre>
      )}
      {(of?.cut || state === 'cut') && <p class="small you">The rest was cut: only the beginning is kept.</p>}
    </div>
  );
}

export default function RequestDetail({ params }: ScreenProps) {
  const data = useData<ModelRequest>(`requests/${encodeURIComponent(params['id'] ?? '')}`, { query: { body: 1_048_576 }, topics: ['money'] });
  return (
    <div class="stack traffic">
      <Loaded of={data} what="the request">
        {(one) => (
          <>
            <Head title={`Request to ${one.model}`}>
              <Mark of={outcomeOf(one)} status={one.status} />
            </Head>
            {one.words && (
              <Banner kind={one.outcome === 'failed' || one.outcome === 'refused' ? 'bad' : undefined} icon="warning">
                <Cut text={one.words} />
              </Banner>
            )}
            <dl class="pair">
              <dt>Id</dt>
              <dd>
                <code>{one.id}</code> <Copy text={one.id} />
              </dd>
              <dt>Time</dt>
              <dd>
                <Time at={one.time} how="exact" />
              </dd>
              <dt>For</dt>
              <dd>
                {one.task ? (
                  <>
                    Task{' '}
                    <Link to={`/tasks/${one.task}`} class="mono">
                      {one.task}
                    </Link>
                  </>
                ) : (
                  <Cut text={[one.user && `user ${one.user}`, one.key && `key ${one.key}`].filter(Boolean).join(', ') || one.client || ''} most={300} />
                )}
                {one.agent && `, ${one.agent}`}
              </dd>
              {one.project && (
                <>
                  <dt>Project</dt>
                  <dd>
                    <Cut text={one.project} />
                  </dd>
                </>
              )}
              <dt>Answered by</dt>
              <dd>
                <Cut text={one.provider ? `${one.provider}, ${one.model_served || one.model}` : 'nobody'} />
              </dd>
              <dt>Speaks</dt>
              <dd>
                {one.dialect}, {one.endpoint}
                {one.stream && ', streamed'}
              </dd>
              <dt>Tokens</dt>
              <dd>
                {one.usage
                  ? `${countText(one.usage.input)} in, ${countText(one.usage.cache_read)} from the cache, ${countText(one.usage.cache_write + one.usage.cache_write_1h)} into it, ${countText(one.usage.output)} out${one.usage.reasoning ? ` (${countText(one.usage.reasoning)} of them thinking)` : ''}`
                  : 'unknown'}
              </dd>
              <dt>Cost</dt>
              <dd>{one.cache_hit ? 'nothing: answered from memory' : <Money amount={one.cost} currency={one.currency ?? ''} />}</dd>
              <dt>Took</dt>
              <dd>
                {one.ms === null ? 'not ended' : durationText(one.ms)}
                {one.first_byte_ms !== null && `, first byte after ${durationText(one.first_byte_ms)}`}
              </dd>
            </dl>
            {one.attempts.length > 0 && (
              <div class="section">
                <h2>{one.attempts.length === 1 ? 'One attempt' : `${one.attempts.length} attempts`}</h2>
                <Table
                  caption="Attempts"
                  rows={one.attempts.map((attempt, i) => ({ ...attempt, i }))}
                  id={(attempt) => attempt.i}
                  columns={[
                    { name: 'Provider', cell: (attempt) => attempt.provider, label: false },
                    { name: 'Model', cell: (attempt) => attempt.model, wide: true },
                    { name: 'Status', number: true, cell: (attempt) => attempt.status || '–' },
                    { name: 'Outcome', cell: (attempt) => (attempt.code === 'ok' ? 'ok' : attempt.code.replaceAll('_', ' ')) },
                    { name: 'Took', number: true, cell: (attempt) => durationText(attempt.ms) },
                    { name: 'Words', cell: (attempt) => (attempt.words ? <Cut text={attempt.words} most={300} /> : '') },
                  ]}
                />
              </div>
            )}
            <Kept title="What was asked" of={one.request} state={one.request_body} bytes={one.request_bytes} />
            <Kept title="What was answered" of={one.answer} state={one.answer_body} bytes={one.answer_bytes} />
          </>
        )}
      </Loaded>
    </div>
  );
}
