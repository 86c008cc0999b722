// Requests to models: who asked what, who answered, how long it took, what it cost.
import { useData } from '../../live';
import { Cut, Empty, Money, Table, Time, durationText } from '../../parts';
import { Link } from '../../router';
import { Filters, Loaded, Pages, pageQuery, tokensText, type Filter } from '../list';
import { periods } from '../list/filters';
import { projectName } from '../money/types';
import { Mark } from './marks';
import type { ModelRequest } from './types';

const outcomes = ['served', 'cached', 'replayed', 'refused', 'failed', 'cancelled'];
const filters: Filter[] = [
  { name: 'outcome', title: 'Outcome', choices: [{ id: '', title: 'any' }, ...outcomes.map((id) => ({ id, title: id }))] },
  { name: 'status', title: 'Status', placeholder: '429 or 4' },
  { name: 'model', title: 'Model' },
  { name: 'provider', title: 'Provider' },
  { name: 'task', title: 'Task', placeholder: 'id', mono: true },
  { name: 'key', title: 'Key', placeholder: 'id', mono: true },
  { name: 'since', title: 'Time', choices: periods },
];
// A request that was refused asked nobody: there is nothing that could be known.
const counted = (one: ModelRequest, of: (usage: NonNullable<ModelRequest['usage']>) => number) =>
  one.usage ? tokensText(of(one.usage)) : one.outcome === 'refused' ? '–' : <span class="muted">{one.state === 'open' ? 'not yet' : 'unknown'}</span>;
export const outcomeOf = (one: ModelRequest): string => (one.state === 'done' ? one.outcome : one.state);

export function RequestList({ query }: { query: URLSearchParams }) {
  const data = useData<{ requests: ModelRequest[]; next: number | null }>('requests', { query: pageQuery(query, filters, { limit: 50 }), topics: query.get('before') ? [] : ['money'] });
  return (
    <div class="section">
      <Filters filters={filters} label="Filter requests" />
      <Loaded of={data} what="requests">
        {({ requests, next }) =>
          requests.length === 0 ? (
            <Empty title={filters.some(({ name }) => query.get(name)) ? 'No request fits these filters' : 'No model was asked yet'} action={<Link to="/new" class="button primary">Start a task</Link>} command="nightmill request ls">
              Each request to a model appears here: of tasks, and of clients with a key. What is kept of it is a setting.
            </Empty>
          ) : (
            <>
              <Table
                caption="Requests to models"
                rows={requests}
                id={(one) => one.number}
                columns={[
                  {
                    name: 'Time',
                    label: false,
                    cell: (one) => (
                      <Link to={`/requests/${one.id}`}>
                        <Time at={one.time} how="exact" />
                      </Link>
                    ),
                  },
                  { name: 'Outcome', label: false, cell: (one) => <Mark of={outcomeOf(one)} status={one.status === 200 ? 0 : one.status} /> },
                  {
                    name: 'Model',
                    wide: true,
                    cell: (one) => (
                      <span class="two-lines">
                        <b>
                          <Cut text={one.model} most={100} />
                        </b>
                        <span class="small">
                          {one.provider || 'nobody'}
                          {one.attempts.length > 1 && `, ${one.attempts.length} attempts`}
                        </span>
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
                          <span>
                            <Cut text={one.user || one.key || one.client || ''} most={100} />
                          </span>
                        )}
                        <span class="small" title={one.project}>
                          {[one.agent, one.project && projectName(one.project)].filter(Boolean).join(', ')}
                        </span>
                      </span>
                    ),
                  },
                  { name: 'In', number: true, cell: (one) => counted(one, (usage) => usage.input + usage.cache_read + usage.cache_write + usage.cache_write_1h) },
                  { name: 'Out', number: true, cell: (one) => counted(one, (usage) => usage.output) },
                  { name: 'First byte', number: true, cell: (one) => (one.first_byte_ms === null ? '–' : durationText(one.first_byte_ms)) },
                  { name: 'Took', number: true, cell: (one) => (one.ms === null ? '–' : durationText(one.ms)) },
                  { name: 'Cost', number: true, cell: (one) => (one.outcome === 'refused' || one.state === 'open' ? '–' : <Money amount={one.usage ? one.cost : null} currency={one.currency ?? ''} />) },
                ]}
              />
              <Pages next={next} count={requests.length} what="request" />
            </>
          )
        }
      </Loaded>
    </div>
  );
}
