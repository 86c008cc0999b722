// Agents and models side by side, by what their tasks came to here: share done, time, iterations, what a done task costs.
import { useData } from '../../live';
import { Banner, Empty, Money, Outcome, Switch, Table, durationText } from '../../parts';
import { Link, setQuery } from '../../router';
import { Loaded, shareText, sinceSeconds } from '../list';
import { periods } from '../list/filters';
import type { AgentRecord } from './types';

const ways = [
  { id: 'agent', title: 'Agent' },
  { id: 'model', title: 'Agent and model' },
  { id: 'kind', title: 'Kind of task' },
  { id: 'version', title: 'Version' },
];
const nameOf = (one: AgentRecord): string => one.agent || 'unknown agent';
const further = (one: AgentRecord): string => [one.version, one.model, one.kind].filter(Boolean).join(', ');

export function Records({ records }: { records: AgentRecord[] }) {
  return (
    <Table
      caption="What tasks came to"
      rows={records}
      id={(one) => [one.agent, one.version, one.model, one.kind].join(' ')}
      columns={[
        {
          name: 'Agent',
          wide: true,
          cell: (one) => (
            <span class="two-lines">
              <b>{nameOf(one)}</b>
              {further(one) && <span class="small">{further(one)}</span>}
            </span>
          ),
        },
        { name: 'Tasks', number: true, cell: (one) => one.runs },
        {
          name: 'Done',
          number: true,
          cell: (one) =>
            one.share_done === null ? (
              <span class="muted">none ended</span>
            ) : (
              <span class="two-lines">
                <span>{shareText(Number(one.share_done))}</span>
                <span class="small">
                  {one.done} of {one.ended}
                  {one.few && ', few'}
                </span>
              </span>
            ),
        },
        {
          name: 'Else',
          cell: (one) => (
            <span class="small muted">
              {[one.unproven && `${one.unproven} unproven`, one.failed && `${one.failed} failed`, one.stopped && `${one.stopped} stopped`, one.limited && `${one.limited} at a limit`, one.open && `${one.open} open`, one.undone && `${one.undone} taken back`].filter(Boolean).join(', ') || '–'}
            </span>
          ),
        },
        { name: 'Time', number: true, cell: (one) => (one.ended ? durationText(one.worked_median_ns / 1e6) : '–') },
        { name: 'Iterations', number: true, cell: (one) => (one.ended ? one.iterations_median : '–') },
        {
          name: 'Cost of a done task',
          number: true,
          cell: (one) =>
            one.costs.length === 0 ? (
              one.ended ? <Money amount={null} /> : '–'
            ) : (
              <span class="two-lines">
                {one.costs.map((cost) => (
                  <span key={cost.currency}>{cost.per_done === null ? <span class="muted">none done</span> : <Money amount={cost.per_done} currency={cost.currency} />}</span>
                ))}
                {one.unpriced > 0 && <span class="small">without {one.unpriced} unknown</span>}
              </span>
            ),
        },
      ]}
    />
  );
}

// Only what enough tasks say is said in words.
function finding(records: AgentRecord[]): string | null {
  const enough = records.filter((one) => !one.few && one.share_done !== null);
  if (enough.length < 2) return null;
  const best = [...enough].sort((a, b) => Number(b.share_done) - Number(a.share_done))[0]!;
  return `${[nameOf(best), further(best)].filter(Boolean).join(', ')} finishes the most: ${shareText(Number(best.share_done))} of ${best.ended} tasks`;
}

export function Compare({ query }: { query: URLSearchParams }) {
  const by = ways.find((way) => way.id === query.get('by'))?.id ?? 'agent';
  const period = query.get('since') ?? '';
  const data = useData<{ records: AgentRecord[] }>('agents/record', { query: { by, since: sinceSeconds(period) }, topics: ['tasks'], when: (event) => event.type === 'task.state' });
  return (
    <Loaded of={data} what="what tasks came to">
      {({ records }) =>
        records.length === 0 ? (
          <Empty title="No task has run here yet" action={<Link to="/new" class="button primary">Start a task</Link>} command="nightmill agent compare">
            How often each agent and model finishes, how long it takes and what a done task costs appears here, from your own tasks.
          </Empty>
        ) : (
          <div class="section">
            <div class="head">
              <h2>{finding(records) ?? 'Too few tasks have ended to say which is better'}</h2>
              <Switch label="Compare by" choices={ways} now={by} onChoose={(id) => setQuery({ by: id === 'agent' ? null : id })} />
              <select aria-label="Time" value={period} onChange={(event) => setQuery({ since: event.currentTarget.value || null })}>
                {periods.map((one) => (
                  <option key={one.id} value={one.id}>
                    {one.title}
                  </option>
                ))}
              </select>
            </div>
            <Records records={records} />
            <p class="small muted">
              Time and iterations are medians of the tasks that ended. The cost of a done task is all that its agent's ended tasks cost, over those that are done. <Outcome good word="Done" /> means that the checks have passed.
            </p>
            {records.some((one) => one.few) && (
              <Banner>
                Fewer than 5 ended tasks say little: {records.filter((one) => one.few).map((one) => `${nameOf(one)}${further(one) ? ` (${further(one)})` : ''}`).join('; ')}.
              </Banner>
            )}
          </div>
        )
      }
    </Loaded>
  );
}
