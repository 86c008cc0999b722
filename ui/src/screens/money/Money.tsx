// What was spent, and what will stop it in time. Every sum is one of the server's, in the server's zone.
import { useData } from '../../live';
import { Money as Amount, Tabs, Time, Used, moneyRough, moneyText } from '../../parts';
import { navigate } from '../../router';
import type { ScreenProps } from '../../screens';
import { Figures, Head, Loaded, type Figure } from '../list';
import { fromPico, over, toPico } from './amount';
import { Budgets } from './Budgets';
import { Compare } from './Compare';
import { dateIn, monthStart, nextMonthStart } from './days';
import { Ledger } from './Ledger';
import { Spending } from './Spending';
import type { AgentRecord, Budget, Groups } from './types';
import './money.css';

const tabs = [
  { id: 'spending', title: 'Spending' },
  { id: 'budgets', title: 'Budgets' },
  { id: 'ledger', title: 'Ledger' },
  { id: 'compare', title: 'Comparison' },
];

// Amounts of several currencies are told one by one: a sum of them would hide the rate.
const amounts = (of: Groups | undefined) =>
  of?.groups.length ? (
    of.groups.map((one) => (
      <span key={one.currency} class="money-amount">
        <Amount amount={one.cost} currency={one.currency} />{' '}
      </span>
    ))
  ) : (
    <span class="mono">0.00</span>
  );
const unknown = (of: Groups | undefined) => {
  const count = of?.groups.reduce((sum, one) => sum + one.unpriced, 0) ?? 0;
  return count ? `and ${count} request${count === 1 ? '' : 's'} whose price is unknown` : null;
};

// What the month comes to when it goes on as it did: a straight line, as of budgets. Nothing in its first 30 hours.
function monthEnd(of: Groups | undefined, zone: string, now: number): string | null {
  const [start, end] = [monthStart(zone, now), nextMonthStart(zone, now)];
  const [length, elapsed] = [BigInt(end - start), BigInt(Math.floor(now / 1000) - start)];
  if (!of?.groups.length || elapsed < length / 24n) return null;
  return `at this rate ${of.groups.map((one) => `${moneyText(fromPico((toPico(one.cost) * length) / elapsed))} ${one.currency}`).join(' and ')} by its end`;
}

// All that ended tasks cost, over those that are done; each currency by itself.
function perDone(records: AgentRecord[]): Figure | null {
  const done = records.reduce((sum, one) => sum + one.done, 0);
  const totals = new Map<string, bigint>();
  for (const cost of records.flatMap((one) => one.costs)) totals.set(cost.currency, (totals.get(cost.currency) ?? 0n) + toPico(cost.total));
  if (!done || !totals.size) return null;
  const unpriced = records.some((one) => one.unpriced > 0);
  return {
    name: 'Cost of a done task',
    value: [...totals].map(([currency, total]) => (
      <span key={currency} class="money-amount">
        <Amount amount={over(total, done)} currency={currency} />{' '}
      </span>
    )),
    note: `${done} done this month; what others cost is in it${unpriced ? '; requests without a price are not' : ''}`,
  };
}

// The limit of everything, or where there is none what would be one.
function capFigure(budgets: Budget[]): Figure {
  const cap = budgets.find((one) => one.scope === 'all' && one.window === 'month' && one.money) ?? budgets.find((one) => one.scope === 'all' && one.money);
  if (!cap) return { name: 'Cap', value: <span class="muted">none</span>, note: 'Nothing stops spending as a whole yet: set a budget of everything.' };
  const used = fromPico(toPico(cap.spent) + toPico(cap.held));
  return {
    name: cap.window === 'month' ? 'Cap of the month' : 'Cap',
    value: <Used used={used} limit={cap.money} currency={cap.currency ?? ''} />,
    note: (
      <>
        {cap.hard ? (moneyRough(used) >= moneyRough(cap.money) ? 'reached: tasks pause' : 'tasks pause at it') : 'tells only'}
        {cap.window_end && (
          <>
            ; anew <Time at={cap.window_end} how="exact" />
          </>
        )}
        {cap.forecast?.reached_at && (
          <span class="you">
            ; at this rate reached <Time at={cap.forecast.reached_at} how="exact" />
          </span>
        )}
      </>
    ),
  };
}

function Top() {
  const today = useData<Groups>('ledger', { query: { by: 'day', limit: 1 }, topics: ['money'] });
  const zone = today.data?.zone;
  const now = Date.now();
  const month = useData<Groups>('ledger', { query: { by: 'total', since: zone ? monthStart(zone, now) : 0 }, topics: ['money'], off: !zone });
  const budgets = useData<{ budgets: Budget[] }>('budgets', { topics: ['money'] });
  const records = useData<{ records: AgentRecord[] }>('agents/record', { query: { since: zone ? monthStart(zone, now) : 0 }, topics: ['tasks'], when: (event) => event.type === 'task.state', off: !zone });
  return (
    <Loaded of={today} what="what was spent">
      {(data) => {
        const days = { ...data, groups: data.groups.filter((one) => one['day'] === dateIn(data.zone, now)) };
        const done = records.data && perDone(records.data.records);
        const list: Figure[] = [
          { name: `Today, ${data.zone}`, value: amounts(days), note: unknown(days) },
          { name: 'This month', value: month.data ? amounts(month.data) : '…', note: [monthEnd(month.data, data.zone, now), unknown(month.data)].filter(Boolean).join('; ') },
          ...(budgets.data ? [capFigure(budgets.data.budgets)] : []),
          ...(done ? [done] : []),
        ];
        return <Figures list={list} />;
      }}
    </Loaded>
  );
}

export default function Money({ query }: ScreenProps) {
  const tab = tabs.find((one) => one.id === query.get('tab'))?.id ?? 'spending';
  return (
    <div class="stack money">
      <Head title="Money" />
      <Top />
      <Tabs tabs={tabs} now={tab} onChoose={(id) => navigate(id === 'spending' ? '/money' : `/money?tab=${id}`, { replace: true })} label="Money" />
      <section role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`} class="stack">
        {tab === 'spending' ? <Spending query={query} /> : tab === 'budgets' ? <Budgets /> : tab === 'ledger' ? <Ledger query={query} /> : <Compare query={query} />}
      </section>
    </div>
  );
}
