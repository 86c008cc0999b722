// Agents by what their tasks came to here.
import { useData } from '../../live';
import { Empty } from '../../parts';
import { Link } from '../../router';
import { Loaded } from '../list';
import { Records } from '../money/Compare';
import type { AgentRecord } from '../money/types';

export function Agents() {
  const data = useData<{ records: AgentRecord[] }>('agents/record', { query: { by: 'model' }, topics: ['tasks'], when: (event) => event.type === 'task.state' });
  return (
    <Loaded of={data} what="the agents' records">
      {({ records }) =>
        records.length === 0 ? (
          <Empty title="No agent has worked here yet" action={<Link to="/new" class="button primary">Start a task</Link>} command="nightmill agent ls">
            Each agent and model that works on a task appears here with its own record: how often it finishes, how long it takes, what a done task costs.
          </Empty>
        ) : (
          <div class="section">
            <div class="head">
              <h2>Measured here, on your own tasks</h2>
              <Link to="/money?tab=compare">Compare</Link>
            </div>
            <Records records={records} />
          </div>
        )
      }
    </Loaded>
  );
}
