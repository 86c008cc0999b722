// The ledger: one row for each request that was billed, newest first. Nothing is added up here; the server does that.
import { send } from '../../api';
import { useData } from '../../live';
import { Button, Cut, Empty, Money, Table, Time, saveFile } from '../../parts';
import { Link } from '../../router';
import { Filters, Loaded, Pages, countText, pageQuery, tokensText, type Filter } from '../list';
import { periods } from '../list/filters';
import { projectName, type LedgerRow } from './types';

const filters: Filter[] = [
  { name: 'since', title: 'Time', choices: periods },
  { name: 'project', title: 'Project', placeholder: 'folder' },
  { name: 'task', title: 'Task', placeholder: 'id', mono: true },
  { name: 'agent', title: 'Agent' },
  { name: 'model', title: 'Model' },
  { name: 'provider', title: 'Provider' },
  { name: 'user', title: 'User' },
];

// Every row that fits the filters, page by page: the rows of a page end with a number that the next one begins before.
async function download(query: URLSearchParams): Promise<void> {
  const most = 1000;
  let text = '';
  let before: string | null = null;
  for (;;) {
    const page: string = await (await send('GET', 'ledger', { query: { ...pageQuery(query, filters, { format: 'csv', limit: most }), before } })).text();
    const rows = page.split('\r\n').slice(1, -1);
    text += before === null ? page : rows.map((row) => `${row}\r\n`).join('');
    before = rows.length < most ? null : /^\d+/.exec(rows.at(-1)!)![0];
    if (before === null) break;
  }
  saveFile('ledger.csv', 'text/csv', text);
}

export function Ledger({ query }: { query: URLSearchParams }) {
  const asked = pageQuery(query, filters, { limit: 50 });
  const onLast = !query.get('before');
  const data = useData<{ rows: LedgerRow[]; zone: string; next: number | null }>('ledger', { query: asked, topics: onLast ? ['money'] : [] });
  return (
    <div class="section">
      <div class="line">
        <Filters filters={filters} label="Filter the ledger" />
        <Button class="push" icon="download" onClick={() => download(query)} label="CSV of all rows that fit">
          CSV
        </Button>
      </div>
      <Loaded of={data} what="the ledger">
        {({ rows, next }) =>
          rows.length === 0 ? (
            <Empty title={filters.some(({ name }) => query.get(name)) ? 'No row fits these filters' : 'The ledger is empty'} action={<Link to="/new" class="button primary">Start a task</Link>} command="nightmill ledger">
              Each request to a model that was billed appears here: when, for what, how many tokens of which kind, at which price.
            </Empty>
          ) : (
            <>
              <Table
                caption="Ledger"
                rows={rows}
                id={(row) => row.number}
                columns={[
                  { name: 'Time', cell: (row) => <Time at={row.time} how="exact" />, label: false },
                  {
                    name: 'For',
                    wide: true,
                    cell: (row) => (
                      <span class="two-lines">
                        <span>
                          {row.task ? (
                            <Link to={`/tasks/${row.task}?tab=cost`} class="mono">
                              {row.task}
                            </Link>
                          ) : (
                            <span>
                              <Cut text={row.user ?? row.key ?? 'a client'} most={80} />
                            </span>
                          )}{' '}
                          {row.agent ? (
                            <span class="muted">
                              <Cut text={row.agent} most={80} />
                            </span>
                          ) : null}
                        </span>
                        {row.project && (
                          <span class="small" title={row.project}>
                            <Cut text={projectName(row.project)} most={80} />
                          </span>
                        )}
                      </span>
                    ),
                  },
                  {
                    name: 'Model',
                    label: false,
                    cell: (row) => (
                      <span class="two-lines">
                        <span>
                          <Cut text={row.model_served || row.model} most={80} />
                        </span>
                        <span class="small">{row.provider}</span>
                      </span>
                    ),
                  },
                  { name: 'In', number: true, cell: (row) => <span title={countText(row.input)}>{tokensText(row.input)}</span> },
                  { name: 'Cached', number: true, cell: (row) => <span title={countText(row.cache_read)}>{tokensText(row.cache_read)}</span> },
                  { name: 'Out', number: true, cell: (row) => <span title={countText(row.output)}>{tokensText(row.output)}</span> },
                  { name: 'Cost', number: true, cell: (row) => <Money amount={row.cost} currency={row.currency} /> },
                ]}
              />
              <Pages next={next} count={rows.length} what="row" />
            </>
          )
        }
      </Loaded>
    </div>
  );
}
