// Spending by day, model, agent or project: a sentence that says what is to be seen, the picture, and its figures.
import { useEffect, useState } from 'preact/hooks';
import { useData } from '../../live';
import { Empty, Money, Switch, Table, moneyRough, moneyText } from '../../parts';
import { Link, setQuery } from '../../router';
import { Loaded, countText, shareText, tokensText } from '../list';
import { dateWords, daysBack, startOf } from './days';
import { projectName, type Group, type Groups } from './types';

const ways = [
  { id: 'day', title: 'Day' },
  { id: 'model', title: 'Model' },
  { id: 'agent', title: 'Agent' },
  { id: 'project', title: 'Project' },
];
const spans = ['7', '30', '90', '365'];
type ChartPart = typeof import('./Chart').Chart;

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

function Bars({ by, groups, label }: { by: string; groups: Group[]; label: string }) {
  const list = [...groups].sort((a, b) => amountOf(b) - amountOf(a)).slice(0, 12);
  const most = Math.max(...list.map(amountOf), 0);
  return (
    <div class="money-bars" role="img" aria-label={label}>
      {list.map((group, i) => (
        <div key={i} class="money-bar">
          <span class="name">{nameOf(by, group)}</span>
          <span class="way">
            <span style={{ width: `${most > 0 ? Math.max(0.5, (amountOf(group) / most) * 100).toFixed(1) : 0}%` }} />
          </span>
        </div>
      ))}
    </div>
  );
}

function Days({ groups, zone, span, label, currency }: { groups: Group[]; zone: string; span: string; label: string; currency: string }) {
  const [Part, setPart] = useState<{ chart: ChartPart } | null>(null);
  useEffect(() => void import('./Chart').then((module) => setPart({ chart: module.Chart })), []);
  const now = Date.now();
  const found = new Map<string, number>();
  for (const group of groups) found.set(String(group['day']), (found.get(String(group['day'])) ?? 0) + amountOf(group));
  const days = Array.from({ length: Number(span) }, (_, i) => daysBack(zone, now, Number(span) - 1 - i));
  return Part ? <Part.chart days={days} amounts={days.map((day) => found.get(day) ?? 0)} label={label} currency={currency} /> : <div class="money-chart" aria-hidden="true" />;
}

function GroupTable({ by, groups, total, span }: { by: string; groups: Group[]; total: Groups; span: string }) {
  const rows = by === 'day' ? groups : [...groups].sort((a, b) => amountOf(b) - amountOf(a));
  const filter = (group: Group) => {
    const name = String(group[by] ?? '');
    return by === 'day' || !name ? null : `/money?tab=ledger&${by}=${encodeURIComponent(name)}&since=${span}d`;
  };
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
              return to ? (
                <Link to={to} class="plain" title={title}>
                  {nameOf(by, group)}
                </Link>
              ) : (
                <span class={by === 'day' ? 'mono' : 'muted'}>{nameOf(by, group)}</span>
              );
            },
          },
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
                {by === 'day' ? <Days groups={list} zone={zone!} span={span} label={words} currency={currency} /> : <Bars by={by} groups={list} label={words} />}
                <p class="small muted">
                  {currency} {by === 'day' ? `a day; days of ${zone}` : `in ${span} days to now; days of ${zone}`}
                  {missing.length > 0 && `. Without a rate to ${currency}, and so not drawn: ${[...new Set(missing.map((group) => group.currency))].join(', ')}`}
                </p>
              </div>
              <GroupTable by={by} groups={list} total={total.data!} span={span} />
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}
