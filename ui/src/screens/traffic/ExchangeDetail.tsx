// One exchange through the egress proxy, and what to say about its host from now on.
import { put } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Cut, Time, durationText, toast } from '../../parts';
import { Link } from '../../router';
import type { ScreenProps } from '../../screens';
import { may } from '../../session';
import { Head, Loaded, sizeText } from '../list';
import { Mark } from './marks';
import type { Exchange } from './types';
import './traffic.css';

const Part = ({ title, text }: { title: string; text: string | null | undefined }) =>
  text ? (
    <div class="section">
      <h2>{title}</h2>
      <pre class="block" tabIndex={0}>
        <Cut text={text} most={100_000} />
      </pre>
    </div>
  ) : null;

export default function ExchangeDetail({ params }: ScreenProps) {
  const data = useData<Exchange>(`traffic/${encodeURIComponent(params['id'] ?? '')}`);
  const say = async (one: Exchange, verdict: 'allow' | 'deny') => {
    const host = [443, 80].includes(one.port) ? one.host : `${one.host}:${one.port}`;
    await put('egress_hosts', { host, verdict, project: one.project });
    toast(`${host} is ${verdict === 'allow' ? 'allowed' : 'denied'} in this project; open sandboxes follow at once`);
  };
  return (
    <div class="stack traffic">
      <Loaded of={data} what="the exchange">
        {(one) => (
          <>
            <Head title={`${one.method} ${one.host}`}>
              <Mark of={one.verdict} status={one.status} />
              {may('admin') && one.project && one.verdict === 'denied' && (
                <Button kind="primary" onClick={() => say(one, 'allow')}>
                  Allow this host in the project
                </Button>
              )}
              {may('admin') && one.project && one.verdict !== 'denied' && <Button onClick={() => say(one, 'deny')}>Deny this host in the project</Button>}
            </Head>
            {one.reason && (
              <Banner kind={one.verdict === 'alarm' || one.verdict === 'failed' ? 'bad' : one.verdict === 'denied' ? 'you' : undefined} icon="warning">
                <Cut text={one.reason} />
              </Banner>
            )}
            <dl class="pair">
              <dt>Address</dt>
              <dd>
                <code>
                  <Cut text={`${one.scheme}://${one.host}${[443, 80].includes(one.port) ? '' : `:${one.port}`}${one.path}`} most={2000} />
                </code>
              </dd>
              <dt>Time</dt>
              <dd>
                <Time at={one.time} how="exact" />, took {durationText(one.ms)}
              </dd>
              <dt>For</dt>
              <dd>
                {one.task ? (
                  <Link to={`/tasks/${one.task}`} class="mono">
                    {one.task}
                  </Link>
                ) : (
                  'a listener opened by hand'
                )}
                , {one.phase === 'setup' ? 'a setup command' : 'the work'}
              </dd>
              <dt>Project</dt>
              <dd>
                <Cut text={one.project || 'none'} />
              </dd>
              <dt>Bytes</dt>
              <dd>
                {sizeText(one.bytes_up)} up, {sizeText(one.bytes_down)} down
              </dd>
              {one.address && (
                <>
                  <dt>Dialled</dt>
                  <dd>
                    <code>{one.address}</code>
                  </dd>
                </>
              )}
            </dl>
            <Part title="Fields of the request" text={one.request_head} />
            <Part title="Body of the request" text={one.request_body} />
            <Part title="Fields of the answer" text={one.answer_head} />
            <Part title="Body of the answer" text={one.answer_body} />
            {!one.request_head && !one.answer_head && <p class="muted">No fields or bodies are kept of this exchange. What is kept is said by the setting traffic.keep.</p>}
            {one.cut && <p class="small you">There was more than what is kept.</p>}
          </>
        )}
      </Loaded>
    </div>
  );
}
