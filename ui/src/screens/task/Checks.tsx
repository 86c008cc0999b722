// The verdict and its proof: which check ran when and how it ended, over all iterations, and why the result can be
// believed (or not).
import { useState } from 'preact/hooks';
import { useData } from '../../live';
import { Banner, Cut, Duration, Empty, Icon, Outcome, Table, Time, Waiting, Wrong, durationText } from '../../parts';
import { sgrRuns } from '../../parts/sgr';
import { marked } from '../../parts';
import type { TabProps } from './Task';
import type { Schemas } from '../../types';

type CheckRun = Schemas['CheckRun'];
type Verdict = Schemas['TaskVerdict'];
type CheckList = Schemas['TaskChecks'];


const kindWords: Record<string, string> = {
  delivered: 'on the work as it is delivered',
  sealed: 'with the tests of the base put back',
  base: 'on the base, before any work',
  canary: 'with a mistake put in on purpose',
  'base-canary': 'on the base with a mistake put in',
  red: 'the new tests on the old code: must fail',
  setup: 'set-up',
};
const good = (status: string) => status === 'passed';

function Cells({ history, last }: { history: Schemas['CheckPast'][]; last: number }) {
  const from = Math.max(1, last - 29);
  return (
    <span class="checks-cells" role="img" aria-label={history.map((one) => `iteration ${one.iteration}: ${one.status}`).join(', ')}>
      {Array.from({ length: last - from + 1 }, (_, i) => {
        const one = history.find((run) => run.iteration === from + i);
        return (
          <i key={i} class={!one ? '' : good(one.status) ? 'good' : 'bad'} title={`Iteration ${from + i}: ${one ? `${one.status}, ${durationText(one.ms)}` : 'did not run'}`}>
            {one ? good(one.status) ? <Icon name="check" strong /> : <Icon name="cross" strong /> : null}
          </i>
        );
      })}
    </span>
  );
}

// Runs that prove something by failing: a check that stays green there would see nothing.
const mustFail = (kind: string) => kind === 'red' || kind.endsWith('canary');

function RunRow({ run }: { run: CheckRun }) {
  const [open, setOpen] = useState(!good(run.status) && run.kind === 'delivered');
  const asItShould = mustFail(run.kind) ? run.status === 'failed' : good(run.status);
  const ended = run.timed_out ? 'took too long' : run.signal ? `ended by signal ${run.signal}` : run.exit_code !== null ? `exit status ${run.exit_code}` : run.status.replaceAll('_', ' ');
  return (
    <details class="checks-run" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <Outcome good={asItShould} word={mustFail(run.kind) ? (asItShould ? 'fails, as it must' : `${run.status.replaceAll('_', ' ')}, but must fail`) : run.status.replaceAll('_', ' ')} />
        <bdi>
          <Cut text={run.check || run.kind} most={120} />
        </bdi>
        <span class="muted small">{kindWords[run.kind] ?? run.kind}</span>
        <span class="push small muted mono">
          {run.counts ? `${run.counts.passed}/${run.counts.total} tests · ` : ''}
          {ended} · <Duration ms={run.ms} />
        </span>
      </summary>
      {run.tail ? (
        <pre class="checks-tail" tabIndex={0} role="region" aria-label={`Output of ${run.check}`}>
          {run.tail.split('\n').map((line) => (
            <>
              {sgrRuns(line).map((part) => (part.look ? <span class={part.look}>{marked(part.text)}</span> : marked(part.text)))}
              {'\n'}
            </>
          ))}
        </pre>
      ) : (
        <p class="muted small">No output is kept; the log has all of it.</p>
      )}
    </details>
  );
}

function VerdictShown({ verdict }: { verdict: Verdict }) {
  const proven = verdict.outcome === 'proven' || verdict.outcome === 'done' || verdict.outcome === 'green';
  const proofs: [string, string | null][] = [
    ['Proof', verdict.proof_words || verdict.proof?.replaceAll('_', ' ')],
    ['Canary', verdict.canary_words || verdict.canary?.replaceAll('_', ' ')],
    ['Sealed tests', verdict.sealed ? String(verdict.sealed.status).replaceAll('_', ' ') : null],
    ['Protected files changed', verdict.protected_changed?.length ? verdict.protected_changed.join(', ') : null],
    ['Changed with permission', verdict.allowed_changed?.length ? verdict.allowed_changed.join(', ') : null],
  ];
  return (
    <section class="stack tight">
      <Banner kind={proven ? 'good' : verdict.outcome === 'unproven' ? 'you' : 'bad'} icon={proven ? 'state-done' : 'state-failed'}>
        <b>Iteration {verdict.iteration}:</b> <Cut text={verdict.words || verdict.outcome} most={800} /> <span class="small muted">
          <Time at={verdict.time} />
        </span>
      </Banner>
      <dl class="task-facts">
        {proofs
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                <Cut text={value!} most={600} />
              </dd>
            </div>
          ))}
      </dl>
      {verdict.runs.map((run, i) => (
        <RunRow key={`${run.kind} ${run.check} ${i}`} run={run} />
      ))}
    </section>
  );
}

export function Checks({ task, iteration, iterations }: TabProps) {
  const last = iteration ?? iterations.filter((one) => one.ended_at).at(-1)?.iteration ?? null;
  const when = (event: { type: string }) => event.type === 'verdict' || event.type.startsWith('iteration.');
  const all = useData<CheckList>(`tasks/${task.id}/checks`, { topics: [`task:${task.id}`], when });
  const one = useData<CheckList>(`tasks/${task.id}/checks`, { query: { iteration: last }, off: last === null, topics: [`task:${task.id}`], when });
  if (all.error && !all.data) return <Wrong error={all.error} retry={all.reload} />;
  if (!all.data) return <Waiting what="the checks" />;
  if (!all.data.checks.length)
    return (
      <Empty title="This task has no checks" command={'nightmill run "..." --check "make test"'}>
        Without a check nothing can be proven: its work can only be looked at.
      </Empty>
    );
  const reach = Math.max(1, iterations.at(-1)?.iteration ?? 1);
  const verdict = one.data?.verdicts.find((each) => each.iteration === last);
  return (
    <div class="stack">
      <Table
        caption="Checks of this task"
        rows={all.data.checks}
        id={(check) => check.name}
        columns={[
          {
            name: 'Check',
            wide: true,
            cell: (check) => (
              <>
                <bdi>
                  <Cut text={check.name} most={100} />
                </bdi>{' '}
                {check.command && check.command !== check.name && (
                  <code class="muted">
                    <Cut text={check.command} most={160} />
                  </code>
                )}
              </>
            ),
          },
          { name: 'Needed', cell: (check) => (check.required ? 'required' : 'wished for') },
          { name: 'From', cell: (check) => <span class="muted nowrap">{check.origin}</span> },
          {
            name: 'Now',
            cell: (check) => {
              const run = check.history.filter((each) => last === null || each.iteration <= last).at(-1);
              return run ? <Outcome good={good(run.status)} word={run.status.replaceAll('_', ' ')} /> : <Outcome good={null} word="has not run" />;
            },
          },
          { name: `Iterations`, cell: (check) => <Cells history={check.history} last={reach} /> },
        ]}
      />
      {verdict ? <VerdictShown verdict={verdict} /> : <p class="muted">The verdict comes when an iteration has ended.</p>}
    </div>
  );
}
