// Whether all is well: one sentence, then the parts, what the doctor found, and the sandboxes that are open now.
import { useState } from 'preact/hooks';
import { get } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Command, Cut, Icon, StateMark, Table, Time, type IconName } from '../../parts';
import { Link } from '../../router';
import type { ScreenProps } from '../../screens';
import { Head, Loaded, sizeText } from '../list';
import './system.css';
import type { Schemas } from '../../types';

type Health = Schemas['HealthReport'];
type Sandbox = Schemas['OpenSandbox'];

type Grade = 'ok' | 'note' | 'warning' | 'failed';

const looks: Record<Grade, { icon: IconName; word: string; tone: string }> = {
  ok: { icon: 'state-done', word: 'Well', tone: 'good' },
  note: { icon: 'state-queued', word: 'Note', tone: 'muted' },
  warning: { icon: 'warning', word: 'Warning', tone: 'you' },
  failed: { icon: 'state-failed', word: 'Broken', tone: 'bad' },
};
const Mark = ({ grade }: { grade: Grade }) => (
  <span class={`state ${looks[grade].tone}`}>
    <Icon name={looks[grade].icon} strong={grade === 'failed' || grade === 'ok'} />
    {looks[grade].word}
  </span>
);
// What mends it is often one command line; then it can be copied.
const Mend = ({ text }: { text: string | null | undefined }) => (!text ? null : /^nightmill [^.,;]*$/.test(text) ? <Command line={text} /> : <span class="small">{text}</span>);

// Broken first, then warnings; what is well comes last.
const rank: Record<Grade, number> = { failed: 0, warning: 1, note: 2, ok: 3 };

function Sandboxes() {
  const data = useData<{ sandboxes: Sandbox[] }>('sandboxes', { topics: ['tasks'] });
  return (
    <Loaded of={data} what="sandboxes">
      {({ sandboxes }) => (
        <div class="section">
          <h2>{sandboxes.length === 0 ? 'No sandbox is open' : sandboxes.length === 1 ? 'One sandbox is open' : `${sandboxes.length} sandboxes are open`}</h2>
          {sandboxes.length === 0 ? (
            <p class="muted">Each task that works has one of its own: its processes and memory appear here.</p>
          ) : (
            <Table
              caption="Sandboxes"
              rows={sandboxes}
              id={(one) => one.task}
              columns={[
                {
                  name: 'Task',
                  wide: true,
                  cell: (one) => (
                    <span class="two-lines">
                      <Link to={`/tasks/${one.task}`}>
                        <Cut text={one.title} most={120} />
                      </Link>
                      <span class="small mono">{one.task}</span>
                    </span>
                  ),
                },
                { name: 'State', label: false, cell: (one) => <StateMark state={one.state} /> },
                { name: 'Phase', cell: (one) => one.phase || '–' },
                { name: 'Processes', number: true, cell: (one) => one.pids ?? <span class="muted">unknown</span> },
                {
                  name: 'Memory',
                  number: true,
                  cell: (one) =>
                    one.memory_bytes === null || one.memory_bytes === undefined ? (
                      <span class="muted">unknown</span>
                    ) : (
                      <span>
                        {sizeText(one.memory_bytes)} <span class="muted">/ {one.memory_limit ? sizeText(one.memory_limit) : 'no limit'}</span>
                      </span>
                    ),
                },
                { name: 'Since', cell: (one) => <Time at={one.started_at} how="age" /> },
              ]}
            />
          )}
        </div>
      )}
    </Loaded>
  );
}

export default function System(_: ScreenProps) {
  const data = useData<Health>('health', { topics: ['system'] });
  const [fresh, setFresh] = useState<Health | null>(null);
  const look = async () => setFresh(await get<Health>('health', { fresh: 1 }));
  return (
    <div class="stack system">
      <Head title="Health">
        <Button onClick={look}>Look again</Button>
      </Head>
      <Loaded of={data} what="how the server is">
        {(first) => {
          const health = fresh && Date.parse(fresh.checked_at) >= Date.parse(first.checked_at) ? fresh : first;
          const components = [...health.components].sort((a, b) => rank[a.grade] - rank[b.grade]);
          const findings = health.findings.filter((one) => one.grade !== 'ok').sort((a, b) => rank[a.grade] - rank[b.grade]);
          const well = health.findings.length - findings.length;
          return (
            <>
              <Banner kind={health.verdict === 'failed' ? 'bad' : health.verdict === 'warning' ? 'you' : 'good'} icon={health.verdict === 'note' ? 'check' : looks[health.verdict].icon} role="status">
                <b class="system-verdict">{health.words.charAt(0).toUpperCase() + health.words.slice(1)}</b>
                <div class="small muted">
                  looked <Time at={health.checked_at} />; Nightmill {health.version}
                </div>
              </Banner>
              <div class="section">
                <h2>Parts</h2>
                <Table
                  caption="Parts"
                  rows={components}
                  id={(one) => one.name}
                  columns={[
                    { name: 'Part', cell: (one) => <b>{one.title}</b>, label: false },
                    { name: 'State', label: false, cell: (one) => <Mark grade={one.grade} /> },
                    {
                      name: 'What is known',
                      wide: true,
                      cell: (one) => (
                        <span class="two-lines">
                          <Cut text={one.words} most={500} />
                          <Mend text={one.mend} />
                        </span>
                      ),
                    },
                  ]}
                />
              </div>
              <div class="section">
                <div class="head">
                  <h2>{findings.length === 0 ? `The doctor found nothing wrong in ${well} checks` : `The doctor found ${findings.length} of ${health.findings.length} things worth a look`}</h2>
                  <Command line="nightmill doctor" />
                </div>
                {findings.length > 0 && (
                  <Table
                    caption="Findings of the doctor"
                    rows={findings}
                    id={(one) => one.name}
                    columns={[
                      { name: 'What', cell: (one) => <b>{one.name}</b>, label: false },
                      { name: 'Grade', label: false, cell: (one) => <Mark grade={one.grade} /> },
                      {
                        name: 'Evidence',
                        wide: true,
                        cell: (one) => (
                          <span class="two-lines">
                            <Cut text={one.evidence} most={500} />
                            <Mend text={one.mend} />
                          </span>
                        ),
                      },
                    ]}
                  />
                )}
              </div>
            </>
          );
        }}
      </Loaded>
      <Sandboxes />
    </div>
  );
}
