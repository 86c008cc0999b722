// Who did what: one row for each action that changed something or showed a secret; whether the chain of rows is whole.
import { useState } from 'preact/hooks';
import { get } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Cut, Dialog, Empty, Outcome, Table, Time } from '../../parts';
import type { ScreenProps } from '../../screens';
import { Filters, Head, Loaded, Pages, countText, pageQuery, type Filter } from '../list';
import { periods } from '../list/filters';
import './audit.css';
import type { Schemas } from '../../types';

type Entry = Schemas['AuditEntry'];
type Verified = Schemas['AuditReport'];


const filters: Filter[] = [
  { name: 'actor', title: 'Who' },
  { name: 'action', title: 'Action' },
  { name: 'object', title: 'On what', mono: true },
  { name: 'outcome', title: 'Outcome', placeholder: 'done, denied' },
  { name: 'since', title: 'Time', choices: periods },
];
const refused = (outcome: string) => ['denied', 'refused', 'failed'].includes(outcome);
const shown = (value: string | null) => (value === null || value === '' ? null : typeof value === 'string' ? value : JSON.stringify(value));

function Chain() {
  const [found, setFound] = useState<Verified | null>(null);
  return (
    <>
      {found && (
        <Banner kind={found.ok ? 'good' : 'bad'} icon={found.ok ? 'check' : 'warning'} role="status">
          {found.ok ? `The chain is whole: ${countText(found.rows)} rows, none changed, none missing${found.behind ? `; the newest ${countText(found.behind)} are not signed yet` : ''}.` : `The chain is broken: ${found.findings.length} ${found.findings.length === 1 ? 'finding' : 'findings'} in ${countText(found.rows)} rows.`}
          {found.findings.slice(0, 20).map((one, i) => (
            <div class="small" key={i}>
              Row {one.number}: <Cut text={one.words} most={300} />
            </div>
          ))}
        </Banner>
      )}
      <Button icon="check" onClick={async () => setFound(await get<Verified>('audit/verify'))}>
        Verify the chain
      </Button>
    </>
  );
}

// The rows that fit the filters, page by page, as JSON lines; nothing of them is kept on the server.
async function exported(query: URLSearchParams): Promise<void> {
  const lines: string[] = [];
  let before: number | null = null;
  do {
    const page: { entries: Entry[]; next: number | null } = await get('audit', { ...pageQuery(query, filters), before, limit: 1000 });
    for (const entry of page.entries) lines.push(JSON.stringify(entry));
    before = page.next;
  } while (before !== null && lines.length < 100_000);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([lines.map((line) => `${line}\n`).join('')], { type: 'application/jsonl' }));
  link.download = 'audit.jsonl';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export default function Audit({ query }: ScreenProps) {
  const data = useData<{ entries: Entry[]; next: number | null }>('audit', { query: pageQuery(query, filters, { limit: 50 }), topics: query.get('before') ? [] : ['system', 'settings', 'approvals'] });
  const [open, setOpen] = useState<Entry | null>(null);
  return (
    <div class="stack audit">
      <Head title="Audit">
        <Button icon="download" onClick={() => exported(query)}>
          Export
        </Button>
        <Chain />
      </Head>
      <div class="section">
        <Filters filters={filters} label="Filter the audit" />
        <Loaded of={data} what="the audit">
          {({ entries, next }) =>
            entries.length === 0 ? (
              <Empty title={filters.some(({ name }) => query.get(name)) ? 'No row fits these filters' : 'Nothing was done yet'} command="nightmill audit ls">
                Each action that changes something or shows a secret appears here, with who did it and from where. Rows are never changed; each carries the hash of the one before.
              </Empty>
            ) : (
              <>
                <Table
                  caption="Audit"
                  rows={entries}
                  id={(one) => one.number}
                  columns={[
                    { name: 'Time', label: false, cell: (one) => <Time at={one.time} how="exact" /> },
                    {
                      name: 'Who',
                      label: false,
                      cell: (one) => (
                        <span class="two-lines">
                          <b>
                            <Cut text={one.actor || 'nobody'} most={100} />
                          </b>
                          <span class="small">
                            {[one.credential || one.actor_kind, one.address].filter(Boolean).join(', ')}
                          </span>
                        </span>
                      ),
                    },
                    {
                      name: 'Did',
                      wide: true,
                      cell: (one) => (
                        <button type="button" class="audit-did" onClick={() => setOpen(one)}>
                          <b>{one.action.replaceAll('_', ' ')}</b>{' '}
                          <span class="mono">
                            <Cut text={one.object ?? ''} most={120} />
                          </span>
                        </button>
                      ),
                    },
                    { name: 'Outcome', label: false, cell: (one) => (refused(one.outcome) ? <Outcome good={false} word={one.outcome} /> : <span class="muted">{one.outcome}</span>) },
                    { name: 'Row', number: true, cell: (one) => <span class="muted mono">{one.number}</span> },
                  ]}
                />
                <Pages next={next} count={entries.length} what="row" />
              </>
            )
          }
        </Loaded>
      </div>
      <Dialog open={!!open} title={`Row ${open?.number ?? ''} of the audit`} onClose={() => setOpen(null)}>
        {open && (
          <div class="body">
            <dl class="pair">
              <dt>Time</dt>
              <dd>
                <Time at={open.time} how="exact" /> <span class="small muted mono">{open.time}</span>
              </dd>
              <dt>Who</dt>
              <dd>
                <Cut text={open.actor} /> ({open.actor_kind}
                {open.credential && `, ${open.credential}`}
                {open.address && `, from ${open.address}`})
              </dd>
              <dt>Action</dt>
              <dd class="mono">{open.action}</dd>
              <dt>On</dt>
              <dd class="mono">
                <Cut text={open.object ?? '–'} />
              </dd>
              {shown(open.before) && (
                <>
                  <dt>Before</dt>
                  <dd class="mono">
                    <Cut text={shown(open.before)!} />
                  </dd>
                </>
              )}
              {shown(open.after) && (
                <>
                  <dt>After</dt>
                  <dd class="mono">
                    <Cut text={shown(open.after)!} />
                  </dd>
                </>
              )}
              <dt>Outcome</dt>
              <dd>{open.outcome}</dd>
              <dt>Hash</dt>
              <dd class="mono small">{open.hash}</dd>
            </dl>
            <div class="actions">
              <Button onClick={() => setOpen(null)}>Close</Button>
            </div>
          </div>
        )}
      </Dialog>
    </div>
  );
}
