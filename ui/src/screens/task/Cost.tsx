// What it cost, by iteration and by model, and the way there against the limit.
import { useData } from '../../live';
import { Banner, Empty, Money, Table, Time, Used, Waiting, Wrong, moneyRough, moneyText } from '../../parts';
import type { TabProps } from './Task';
import type { Schemas } from '../../types';

type CostData = Schemas['TaskCost'];
type Amounts = Pick<Schemas['IterationCost'], 'requests' | 'input' | 'cache_read' | 'cache_write' | 'output' | 'cost'>;

const figure = (n: number) => n.toLocaleString('en').replaceAll(',', ' ');

function Line({ data }: { data: CostData }) {
  if (data.line.length < 2) return null;
  const width = 640;
  const height = 120;
  const total = moneyRough(data.total);
  // A limit far above would press the line to the floor; the words above say how far it is.
  const limit = moneyRough(data.limit) < total * 4 ? moneyRough(data.limit) : 0;
  const top = Math.max(total, limit, 1e-12);
  const first = Date.parse(data.line[0]!.time);
  const span = Math.max(1, Date.parse(data.line.at(-1)!.time) - first);
  const x = (time: string) => ((Date.parse(time) - first) / span) * (width - 2);
  const y = (amount: number) => height - 4 - (amount / top) * (height - 16);
  let path = '';
  let before = y(moneyRough(data.line[0]!.total));
  for (const point of data.line) {
    const to = y(moneyRough(point.total));
    path += path ? `H${x(point.time).toFixed(1)}` : `M0 ${before.toFixed(1)}`;
    if (to !== before) path += `V${to.toFixed(1)}`;
    before = to;
  }
  return (
    <figure class="cost-line">
      <figcaption class="small muted">
        {moneyText(data.total)} {data.currency} spent{moneyRough(data.limit) > 0 ? ` of ${moneyText(data.limit!)}` : ''}, from <Time at={data.line[0]!.time} how="exact" /> to <Time at={data.line.at(-1)!.time} how="exact" />
      </figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label="Money spent over time; the table below has the figures">
        {limit > 0 && <line class="cost-limit" x1="0" x2={width} y1={y(limit)} y2={y(limit)} />}
        <path d={path} />
      </svg>
    </figure>
  );
}

export function Cost({ task, iteration }: TabProps) {
  const { data, error, reload } = useData<CostData>(`tasks/${task.id}/cost`, { topics: [`task:${task.id}`], when: (event) => event.type.startsWith('model.') || event.type.startsWith('iteration.') });
  if (error && !data) return <Wrong error={error} retry={reload} />;
  if (!data) return <Waiting what="the bill" />;
  const requests = data.by_model.reduce((sum, row) => sum + row.requests, 0);
  if (!requests)
    return (
      <Empty title="Nothing was asked of a model yet" command={`nightmill show ${task.id}`}>
        Each request is written here with its tokens and its price.
      </Empty>
    );
  const columns = [
    { name: 'Requests', number: true, cell: (row: Amounts) => <span class="mono">{figure(row.requests)}</span> },
    { name: 'In', number: true, cell: (row: Amounts) => <span class="mono">{figure(row.input)}</span> },
    { name: 'From cache', number: true, cell: (row: Amounts) => <span class="mono">{figure(row.cache_read)}</span> },
    { name: 'To cache', number: true, cell: (row: Amounts) => <span class="mono">{figure(row.cache_write)}</span> },
    { name: 'Out', number: true, cell: (row: Amounts) => <span class="mono">{figure(row.output)}</span> },
    { name: 'Cost', number: true, cell: (row: Amounts) => <Money amount={row.cost} currency={data.currency} /> },
  ];
  return (
    <div class="stack">
      <div class="line">
        <Used used={data.total} limit={data.limit} currency={data.currency} />
        {moneyRough(data.held) > 0 && (
          <span class="small muted">
            of it {moneyText(data.held)} {data.currency} held for requests under way
          </span>
        )}
      </div>
      {task.spent.unpriced > 0 && (
        <Banner kind="you" icon="warning">
          {task.spent.unpriced} of the requests have no known price; the sum is without them. A price is set with <code>nightmill price set</code>.
        </Banner>
      )}
      <Line data={data} />
      <Table caption="Cost by iteration" rows={data.by_iteration} id={(row) => row.iteration} row={(row) => ({ ...(row.iteration === iteration ? { class: 'here' } : {}) })} columns={[{ name: 'Iteration', cell: (row) => row.iteration || 'before the first' }, ...columns]} />
      <Table
        caption="Cost by model"
        rows={data.by_model}
        id={(row) => `${row.model} ${row.model_served} ${row.price?.id}`}
        columns={[
          {
            name: 'Model',
            wide: true,
            cell: (row) => (
              <>
                <bdi>{row.model}</bdi>
                {row.model_served && row.model_served !== row.model && <span class="muted"> served by {row.model_served}</span>}
              </>
            ),
          },
          ...columns,
          { name: 'Price of', cell: (row) => (row.price ? <span class="muted nowrap"><Time at={row.price.from} how="exact" /> {row.price.source}</span> : <span class="muted">unknown</span>) },
        ]}
      />
    </div>
  );
}
