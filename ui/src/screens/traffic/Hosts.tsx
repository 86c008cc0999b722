// What people said about hosts: allowed or denied, everywhere or in one project.
import { useState } from 'preact/hooks';
import { Problem, del, put } from '../../api';
import { useData } from '../../live';
import { Banner, Button, Dialog, Empty, Field, Icon, Outcome, Switch, Table, Time, toast } from '../../parts';
import { may } from '../../session';
import { Loaded } from '../list';
import { projectName } from '../money/types';
import type { EgressHost } from './types';

const written = (one: EgressHost) => (one.port ? `${one.host}:${one.port}` : one.host);

function HostDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [host, setHost] = useState('');
  const [verdict, setVerdict] = useState('allow');
  const [project, setProject] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const save = async () => {
    try {
      await put('egress_hosts', { host, verdict, project });
      toast(`${host} is ${verdict === 'allow' ? 'allowed' : 'denied'}; open sandboxes follow at once`);
      onDone();
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <Dialog open title="Allow or deny a host" onClose={onClose}>
      <div class="body">
        {problem && (
          <Banner kind="bad" icon="warning" role="alert">
            {problem.words}
          </Banner>
        )}
        <Field name="Host" help="example.org, *.example.org or example.org:8443">
          {(at) => <input {...at} value={host} autoFocus spellcheck={false} autocomplete="off" onInput={(event) => setHost(event.currentTarget.value.trim())} />}
        </Field>
        <Switch label="Verdict" choices={[{ id: 'allow', title: 'Allow' }, { id: 'deny', title: 'Deny' }]} now={verdict} onChoose={setVerdict} />
        <Field name="Project" optional help="Its folder; empty: all projects.">
          {(at) => <input {...at} value={project} spellcheck={false} onInput={(event) => setProject(event.currentTarget.value.trim())} />}
        </Field>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={host ? null : 'Name the host'} onClick={save}>
            {verdict === 'allow' ? 'Allow it' : 'Deny it'}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function Hosts() {
  const data = useData<{ hosts: EgressHost[] }>('egress_hosts', { topics: ['settings', 'system'] });
  const [adding, setAdding] = useState(false);
  const changes = may('admin');
  const forget = async (one: EgressHost) => {
    await del('egress_hosts', { query: { host: written(one), project: one.project } });
    data.reload();
    toast(`What was said about ${written(one)} is forgotten`, {
      action: {
        words: 'Undo',
        do: async () => {
          await put('egress_hosts', { host: written(one), verdict: one.verdict, project: one.project });
          data.reload();
        },
      },
    });
  };
  const add = changes && (
    <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
      Allow or deny a host
    </Button>
  );
  return (
    <Loaded of={data} what="hosts">
      {({ hosts }) => (
        <div class="section">
          {hosts.length === 0 ? (
            <Empty title="Nothing was said about any host" action={add || undefined} command="nightmill config show egress">
              Sandboxes reach only hosts that a setting, a project or a person allows. What people allow or deny here, and in answers to questions, appears in this list.
            </Empty>
          ) : (
            <>
              <div class="head">
                <h2>
                  {hosts.filter((one) => one.verdict === 'allow').length} allowed, {hosts.filter((one) => one.verdict !== 'allow').length} denied
                </h2>
                {add}
              </div>
              <Table
                caption="Hosts"
                rows={hosts}
                id={(one) => `${one.project} ${written(one)}`}
                columns={[
                  { name: 'Host', wide: true, cell: (one) => <b class="mono">{written(one)}</b> },
                  { name: 'Verdict', label: false, cell: (one) => <Outcome good={one.verdict === 'allow' ? true : null} word={one.verdict === 'allow' ? 'Allowed' : 'Denied'} /> },
                  { name: 'Where', cell: (one) => (one.project ? <span title={one.project}>{projectName(one.project)}</span> : 'all projects') },
                  {
                    name: 'Said',
                    cell: (one) => (
                      <span class="muted">
                        by {one.said_by} <Time at={one.said_at} />
                      </span>
                    ),
                  },
                  {
                    name: 'Do',
                    label: false,
                    cell: (one) =>
                      changes && (
                        <Button small kind="quiet" onClick={() => forget(one)} label={`Forget what was said about ${written(one)}`}>
                          <Icon name="cross" />
                        </Button>
                      ),
                  },
                ]}
              />
              <p class="small muted">Hosts of the settings (egress.hosts, egress.setup_hosts) are allowed besides these.</p>
            </>
          )}
          {adding && <HostDialog onClose={() => setAdding(false)} onDone={() => (setAdding(false), data.reload())} />}
        </div>
      )}
    </Loaded>
  );
}
