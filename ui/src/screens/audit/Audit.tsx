// Who did what: one row for each action that changed something or showed a secret; whether the chain of rows is whole.
import { useState } from 'preact/hooks';
import { get, post } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Cut, Dialog, Empty, Outcome, Table, Time, saveFile, toast } from '../../parts';
import type { ScreenProps } from '../../screens';
import { may } from '../../session';
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

const most = 20; // findings that the server tells
// What a new head settles; rows that are not as they were written are found for good.
const ofHead = (kind: string) => ['cut', 'rebuilt', 'head'].includes(kind);

function Findings({ found, onShow }: { found: Verified; onShow: (number: number) => void }) {
  return (
    <ul class="audit-findings">
      {found.findings.map((one, i) => (
        <li key={i}>
          {one.number > 0 ? (
            <button type="button" class="audit-did" onClick={() => onShow(one.number)}>
              Row {countText(one.number)}
            </button>
          ) : (
            'The head'
          )}
          : <Cut text={one.words} most={300} />
        </li>
      ))}
      {found.findings.length >= most && <li class="muted">There may be more: the first {most} are told.</li>}
    </ul>
  );
}

// Accepting repairs and hides nothing: it says from where on the log is watched again.
function Accept({ found, onClose, onDone }: { found: Verified; onClose: () => void; onDone: () => void }) {
  const [seen, setSeen] = useState(false);
  const left = found.findings.filter((one) => !ofHead(one.kind)).length;
  return (
    <Dialog open title="Accept the log as it is?" onClose={onClose}>
      <div class="body">
        <p>
          The log is not the one that the signed head counts. Accepting signs a new head over the {countText(found.rows)} rows that stand there now, whatever the former one said.
        </p>
        <ul>
          <li>Nothing is repaired: rows that were taken away stay away, unless a backup has them.</li>
          <li>Their loss is not told any more when the log is verified; what is cut off later is.</li>
          {left > 0 && <li>{left === 1 ? 'One finding is' : `${left} findings are`} about rows that are not as they were written: these are told for good.</li>}
          <li>That you accepted it becomes the next row of the log. It cannot be taken back.</li>
        </ul>
        <p>Keep a copy of the database for whoever looks into it before you do this.</p>
        <label class="check">
          <input type="checkbox" checked={seen} onChange={(event) => setSeen(event.currentTarget.checked)} />
          <span>I know what has happened to the log, or have a copy of it</span>
        </label>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="danger"
            why={seen ? null : 'Say first that you know what has happened, or have a copy'}
            onClick={async () => {
              await post('audit/accept');
              toast('The log is accepted as it is');
              onDone();
            }}
          >
            Accept the log as it is
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

const wholeWords = (found: Verified) =>
  `The chain is whole: ${countText(found.rows)} rows, none changed, none missing${found.behind ? `; the newest ${countText(found.behind)} are not signed yet` : ''}.`;
const brokenWords = (found: Verified) => `The chain is broken: ${found.findings.length === 1 ? '1 finding' : `${countText(found.findings.length)} findings`} in ${countText(found.rows)} rows.`;

function Chain({ found, verify, onShow }: { found: Verified; verify: () => Promise<void>; onShow: (number: number) => void }) {
  const [accepting, setAccepting] = useState(false);
  return (
    <>
      <Banner kind={found.ok ? 'good' : 'bad'} icon={found.ok ? 'check' : 'warning'} role="status" actions={found.findings.some((one) => ofHead(one.kind)) && may('owner') && <Button onClick={() => setAccepting(true)}>Accept it as it is …</Button>}>
        {found.ok ? wholeWords(found) : brokenWords(found)}
        {!found.ok && <Findings found={found} onShow={onShow} />}
      </Banner>
      {accepting && (
        <Accept
          found={found}
          onClose={() => setAccepting(false)}
          onDone={() => {
            setAccepting(false);
            void verify();
          }}
        />
      )}
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
  saveFile('audit.jsonl', 'application/jsonl', lines.map((line) => `${line}\n`).join(''));
}

export default function Audit({ query }: ScreenProps) {
  const data = useData<{ entries: Entry[]; next: number | null }>('audit', { query: pageQuery(query, filters, { limit: 50 }), topics: query.get('before') ? [] : ['system', 'settings', 'approvals', 'access', 'models', 'notifications'] });
  const [open, setOpen] = useState<Entry | null>(null);
  const [found, setFound] = useState<Verified | null>(null);
  const verify = async () => {
    setFound(await get<Verified>('audit/verify'));
    data.reload();
  };
  // The row of a finding, or the one that now stands where it was.
  const show = async (number: number) => {
    const { entries } = await get<{ entries: Entry[] }>('audit', { before: number + 1, limit: 1 });
    if (entries[0]?.number === number) setOpen(entries[0]);
    else toast(`Row ${number} is not there${entries[0] ? `; the one before it is row ${entries[0].number}` : ''}`);
  };
  return (
    <div class="stack audit">
      <Head title="Audit">
        <Button icon="download" onClick={() => exported(query)}>
          Export
        </Button>
        <Button icon="check" onClick={verify}>
          Verify the chain
        </Button>
      </Head>
      {found && <Chain found={found} verify={verify} onShow={show} />}
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
