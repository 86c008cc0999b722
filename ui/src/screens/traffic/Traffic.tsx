// What left this machine: requests to models through the gateway, everything else through the egress proxy, and what
// people said about hosts.
import { useData } from '../../live';
import { Cut, Empty, Table, Tabs, Time, durationText } from '../../parts';
import { Link, navigate } from '../../router';
import type { ScreenProps } from '../../screens';
import { Filters, Head, Loaded, Pages, pageQuery, sizeText, type Filter } from '../list';
import { periods } from '../list/filters';
import { projectName } from '../money/types';
import { Hosts } from './Hosts';
import { Mark } from './marks';
import { RequestList } from './RequestList';
import type { Exchange } from './types';
import './traffic.css';

const tabs = [
  { id: 'requests', title: 'Model requests' },
  { id: 'egress', title: 'Outside' },
  { id: 'hosts', title: 'Hosts' },
];
const filters: Filter[] = [
  { name: 'verdict', title: 'Verdict', choices: [{ id: '', title: 'any' }, ...['allowed', 'denied', 'tunnelled', 'failed', 'alarm'].map((id) => ({ id, title: id }))] },
  { name: 'host', title: 'Host' },
  { name: 'task', title: 'Task', placeholder: 'id', mono: true },
  { name: 'phase', title: 'Phase', choices: [{ id: '', title: 'any' }, { id: 'setup', title: 'setup' }, { id: 'work', title: 'work' }] },
  { name: 'method', title: 'Method' },
  { name: 'since', title: 'Time', choices: periods },
  { name: 'text', title: 'Text', placeholder: 'in path or fields' },
];

function Egress({ query }: { query: URLSearchParams }) {
  const data = useData<{ traffic: Exchange[]; next: number | null }>('traffic', { query: pageQuery(query, filters, { limit: 50 }), topics: query.get('before') ? [] : ['tasks'] });
  return (
    <div class="section">
      <Filters filters={filters} label="Filter traffic" />
      <Loaded of={data} what="what left sandboxes">
        {({ traffic, next }) =>
          traffic.length === 0 ? (
            <Empty title={filters.some(({ name }) => query.get(name)) ? 'Nothing fits these filters' : 'Nothing has left a sandbox yet'} action={<Link to="/traffic?tab=hosts" class="button">Allow a host</Link>} command="nightmill traffic ls">
              Each request that a sandbox makes to the outside appears here with the rule that decided on it. What nobody allowed is refused.
            </Empty>
          ) : (
            <>
              <Table
                caption="What left sandboxes"
                rows={traffic}
                id={(one) => one.number}
                columns={[
                  { name: 'Time', label: false, cell: (one) => <Time at={one.time} how="exact" /> },
                  { name: 'Verdict', label: false, cell: (one) => <Mark of={one.verdict} status={one.status} /> },
                  {
                    name: 'What',
                    wide: true,
                    cell: (one) => (
                      <span class="two-lines">
                        <Link to={`/traffic/${one.number}`} class="traffic-what">
                          <span class="muted">
                            <Cut text={one.method} most={20} />
                          </span>{' '}
                          <b>
                            <Cut text={one.host} most={120} />
                          </b>
                          <Cut text={one.path} most={120} />
                        </Link>
                        {one.reason && (
                          <span class="small">
                            <Cut text={one.reason} most={200} />
                          </span>
                        )}
                      </span>
                    ),
                  },
                  {
                    name: 'For',
                    cell: (one) => (
                      <span class="two-lines">
                        {one.task ? (
                          <Link to={`/tasks/${one.task}`} class="mono">
                            {one.task}
                          </Link>
                        ) : (
                          <span class="muted">by hand</span>
                        )}
                        <span class="small" title={one.project}>
                          {projectName(one.project)}, {one.phase}
                        </span>
                      </span>
                    ),
                  },
                  { name: 'Up', number: true, cell: (one) => sizeText(one.bytes_up) },
                  { name: 'Down', number: true, cell: (one) => sizeText(one.bytes_down) },
                  { name: 'Took', number: true, cell: (one) => durationText(one.ms) },
                ]}
              />
              <Pages next={next} count={traffic.length} what="row" />
            </>
          )
        }
      </Loaded>
    </div>
  );
}

export default function Traffic({ query }: ScreenProps) {
  const tab = tabs.find((one) => one.id === query.get('tab'))?.id ?? 'requests';
  return (
    <div class="stack traffic">
      <Head title="Traffic" />
      <Tabs tabs={tabs} now={tab} onChoose={(id) => navigate(id === 'requests' ? '/traffic' : `/traffic?tab=${id}`, { replace: true })} label="Traffic" />
      <section role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`} class="stack">
        {tab === 'requests' ? <RequestList query={query} /> : tab === 'egress' ? <Egress query={query} /> : <Hosts />}
      </section>
    </div>
  );
}
