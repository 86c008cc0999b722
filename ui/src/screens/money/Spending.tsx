// What was spent, day by day, told apart by model, agent or project: a sentence that says what is to be seen, the picture,
// and the sums beside it.
import { useData } from '../../live';
import { Cut, Empty, Money, Switch, Table, moneyRough, moneyText } from '../../parts';
import { Link, setQuery } from '../../router';
import { Loaded, countText, shareText, tokensText } from '../list';
import { toPico } from './amount';
import { dateWords, daysBack, startOf } from './days';
import { PartMark, Stacks, looks, type Part } from './Stacks';
import { projectName, type Group, type Groups } from './types';

const ways = [
  { id: 'day', title: 'Day' },
  { id: 'model', title: 'Model' },
  { id: 'agent', title: 'Agent' },
  { id: 'project', title: 'Project' },
];
const spans = ['7', '30', '90', '365'];

const nameOf = (by: string, group: Group): string => {
  const name = String(group[by] ?? '');
  if (by === 'day') return name;
  return name ? (by === 'project' ? projectName(name) : name) : `no ${by}`;
};
// In the primary currency where there is a rate to it; else not comparable, and said so.
const amountOf = (group: Group): number => moneyRough(group.cost_primary);
const tokens = (group: Group): number => group.input + group.cache_read + group.cache_write + group.output;

function finding(by: string, groups: Group[], total: Groups, span: string): string {
  const all = total.groups.map((one) => `${moneyText(one.cost)} ${one.currency}`).join(' and ') || 'Nothing';
  const when = span === '365' ? 'in a year' : `in ${span} days`;
  const most = [...groups].sort((a, b) => amountOf(b) - amountOf(a))[0];
  const sum = groups.reduce((add, one) => add + amountOf(one), 0);
  if (!most || sum <= 0) return `${all} ${when}`;
  if (by === 'day') return `${all} ${when}, most on ${dateWords(String(most['day']))} (${moneyText(most.cost_primary ?? '0')})`;
  return `${nameOf(by, most)} took ${shareText(amountOf(most) / sum)} of ${all} ${when}`;
}

// The parts of the picture: what cost the most each by itself, what is left together.
function partsOf(by: string, groups: Group[]): Part[] {
  if (by === 'day') return [{ id: 'all', name: 'All', look: 1 }];
  const names = new Map<string, { name: string; amount: number }>();
  for (const group of groups) {
    const id = String(group[by] ?? '');
    const known = names.get(id);
    names.set(id, { name: nameOf(by, group), amount: (known?.amount ?? 0) + amountOf(group) });
  }
  const list = [...names].filter(([, one]) => one.amount > 0).sort(([, a], [, b]) => b.amount - a.amount);
  const kept = list.length <= looks ? list : list.slice(0, looks - 1);
  const parts = kept.map(([id, one], i) => ({ id: `=${id}`, name: one.name, look: i + 1 }));
  return list.length > kept.length ? [...parts, { id: 'rest', name: `${list.length - kept.length} others`, look: 0 }] : parts;
}

function Picture({ by, parts, zone, span, since, label, currency }: { by: string; parts: Part[]; zone: string; span: string; since: number; label: string; currency: string }) {
  const data = useData<Groups>('ledger', { query: { by: 'day', stack: by === 'day' ? null : by, since, limit: 366 }, topics: ['money'] });
  return (
    <Loaded of={data} what="the days">
      {({ groups }) => {
        const now = Date.now();
        const days = Array.from({ length: Number(span) }, (_, i) => daysBack(zone, now, Number(span) - 1 - i));
        const found = new Map(days.map((day) => [day, new Map<string, bigint>()]));
        const known = new Set(parts.map((part) => part.id));
        for (const group of groups) {
          const day = found.get(String(group['day']));
          const id = by === 'day' ? 'all' : `=${String(group[by] ?? '')}`;
          const part = known.has(id) ? id : 'rest';
          day?.set(part, (day.get(part) ?? 0n) + toPico(group.cost_primary));
        }
        return <Stacks days={days} parts={parts} amounts={days.map((day) => found.get(day)!)} label={label} currency={currency} />;
      }}
    </Loaded>
  );
}

function GroupTable({ by, groups, parts, total, span }: { by: string; groups: Group[]; parts: Part[]; total: Groups; span: string }) {
  const rows = by === 'day' ? groups : [...groups].sort((a, b) => amountOf(b) - amountOf(a));
  const filter = (group: Group) => {
    const name = String(group[by] ?? '');
    return by === 'day' || !name ? null : `/money?tab=ledger&${by}=${encodeURIComponent(name)}&since=${span}d`;
  };
  const sum = groups.reduce((add, one) => add + amountOf(one), 0);
  const look = (group: Group) => parts.find((part) => part.id === `=${String(group[by] ?? '')}`)?.look ?? 0;
  const requests = total.groups.reduce((sum, one) => sum + one.requests, 0);
  return (
    <div class="money-rows" tabIndex={0} role="region" aria-label={`Figures by ${by}`}>
      <Table
        caption={`Spending by ${by}`}
        rows={rows}
        id={(group) => `${String(group[by])} ${group.currency}`}
        columns={[
          {
            name: ways.find((way) => way.id === by)!.title,
            wide: true,
            cell: (group) => {
              const to = filter(group);
              const title = by === 'project' ? String(group[by] ?? '') : undefined;
              const name = to ? (
                <Link to={to} class="plain" title={title}>
                  <Cut text={nameOf(by, group)} most={80} />
                </Link>
              ) : (
                <span class={by === 'day' ? 'mono' : 'muted'}>{nameOf(by, group)}</span>
              );
              return by === 'day' ? (
                name
              ) : (
                <span class="money-name">
                  {amountOf(group) > 0 && <PartMark look={look(group)} />}
                  {name}
                </span>
              );
            },
          },
          ...(by === 'day' ? [] : [{ name: 'Share', number: true, cell: (group: Group) => (amountOf(group) > 0 && sum > 0 ? shareText(amountOf(group) / sum) : '–') }]),
          { name: 'Requests', number: true, cell: (group) => countText(group.requests) },
          { name: 'Tokens', number: true, cell: (group) => <span title={countText(tokens(group))}>{tokensText(tokens(group))}</span> },
          {
            name: 'Cost',
            number: true,
            cell: (group) =>
              group.unpriced === group.requests ? (
                <Money amount={null} />
              ) : (
                <span class="two-lines">
                  <Money amount={group.cost} currency={group.currency} />
                  {group.currency !== group.primary && (
                    <span class="small">
                      {group.cost_primary === null ? `no rate to ${group.primary}` : `${moneyText(group.cost_primary)} ${group.primary} at ${group.rate}`}
                    </span>
                  )}
                  {group.unpriced > 0 && <span class="small">+ {group.unpriced} unknown</span>}
                </span>
              ),
          },
        ]}
      />
      <p class="small muted">
        {countText(requests)} requests in all. <Link to={`/money?tab=ledger&since=${span}d`}>Their rows</Link>
      </p>
    </div>
  );
}

export function Spending({ query }: { query: URLSearchParams }) {
  const by = ways.find((way) => way.id === query.get('by'))?.id ?? 'day';
  const span = spans.includes(query.get('days') ?? '') ? query.get('days')! : '30';
  // The zone comes with the first answer; until then the days are those of UTC.
  const zoneData = useData<Groups>('ledger', { query: { by: 'day', limit: 1 } });
  const zone = zoneData.data?.zone;
  const since = zone ? startOf(zone, daysBack(zone, Date.now(), Number(span) - 1)) : 0;
  const groups = useData<Groups>('ledger', { query: { by, since, limit: 1000 }, topics: ['money'], off: !zone });
  const total = useData<Groups>('ledger', { query: { by: 'total', since }, topics: ['money'], off: !zone });
  const first = groups.data ? total : groups;
  if (zoneData.error) return <Loaded of={zoneData} what="spending">{() => null}</Loaded>;
  return (
    <Loaded of={first as typeof groups} what="spending">
      {() => {
        const list = groups.data!.groups;
        if (!list.length)
          return (
            <Empty title="Nothing was spent in this time" action={<Link to="/new" class="button primary">Start a task</Link>} command="nightmill ledger --by day">
              Each request to a model becomes a row with its tokens, its price and its cost; the sums by day, model, agent and project appear here.
            </Empty>
          );
        const words = finding(by, list, total.data!, span);
        const currency = list[0]!.primary;
        const parts = partsOf(by, list);
        const rates = [...new Map(list.filter((group) => group.currency !== currency && group.rate).map((group) => [group.currency, group.rate])).entries()];
        const missing = list.filter((group) => group.cost_primary === null);
        return (
          <div class="section">
            <div class="head">
              <h2>{words}</h2>
              <Switch label="Spending by" choices={ways} now={by} onChoose={(id) => setQuery({ by: id === 'day' ? null : id })} />
              <label class="line">
                <span class="hidden">Time</span>
                <select value={span} onChange={(event) => setQuery({ days: event.currentTarget.value === '30' ? null : event.currentTarget.value })}>
                  {spans.map((days) => (
                    <option key={days} value={days}>
                      {days === '365' ? 'a year' : `${days} days`}
                    </option>
                  ))}
                </select>
              </label>
            </div>
            <div class="money-split">
              <div class="section">
                <Picture by={by} parts={parts} zone={zone!} span={span} since={since} label={words} currency={currency} />
                <p class="small muted">
                  {currency} a day; days of {zone}
                  {rates.map(([from, rate]) => `; ${from} counted at ${rate} ${currency}, the rate of now`)}
                  {missing.length > 0 && `. Without a rate to ${currency}, and so not drawn: ${[...new Set(missing.map((group) => group.currency))].join(', ')}`}
                </p>
              </div>
              <GroupTable by={by} groups={list} parts={parts} total={total.data!} span={span} />
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}
