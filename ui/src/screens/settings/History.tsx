// What was set here, by whom, and taking it back.
import { post } from '../../api';
import { useData } from '../../live';
import { Button, Cut, Empty, Table, Time, toast } from '../../parts';
import { Link } from '../../router';
import { may } from '../../session';
import { Filters, Loaded, Pages, pageQuery, type Filter } from '../list';
import type { Change, Setting } from './types';

const filters: Filter[] = [{ name: 'name', title: 'Setting', mono: true, placeholder: 'its name' }];
const Value = ({ of }: { of: string | null }) => (of === null ? <span class="muted">default</span> : of === '' ? <span class="muted">empty</span> : <code><Cut text={of} most={200} /></code>);

export function History({ query }: { query: URLSearchParams }) {
  const data = useData<{ changes: Change[]; next: number | null }>('settings/history', { query: pageQuery(query, filters, { limit: 50 }), topics: query.get('before') ? [] : ['settings'] });
  const revert = async (one: Change) => {
    const now = await post<Setting>('settings/revert', { id: one.id });
    toast(`${now.name} is as it was before`);
    data.reload();
  };
  return (
    <div class="section">
      <Filters filters={filters} label="Filter the history" />
      <Loaded of={data} what="the history">
        {({ changes, next }) =>
          changes.length === 0 ? (
            <Empty title={query.get('name') ? 'Nothing of that name was set here' : 'Nothing was set here yet'} action={<Link to="/settings" class="button">To the settings</Link>} command="nightmill config history">
              Each change made here or by nightmill config set appears here with its author, and can be taken back.
            </Empty>
          ) : (
            <>
              <Table
                caption="Changes of settings"
                rows={changes}
                id={(one) => one.id}
                columns={[
                  { name: 'Time', label: false, cell: (one) => <Time at={one.at} how="exact" /> },
                  { name: 'By', cell: (one) => one.by },
                  {
                    name: 'Setting',
                    wide: true,
                    cell: (one) => (
                      <span class="two-lines">
                        <Link to={`/settings?q=${encodeURIComponent(one.name)}`} class="mono">
                          {one.name}
                        </Link>
                        {one.reverts !== null && <span class="small">takes back change {one.reverts}</span>}
                      </span>
                    ),
                  },
                  { name: 'From', cell: (one) => <Value of={one.from} /> },
                  { name: 'To', cell: (one) => <Value of={one.to} /> },
                  {
                    name: 'Do',
                    label: false,
                    cell: (one) =>
                      may('admin') && one.from !== '(secret)' && one.to !== '(secret)' ? (
                        <span class="line">
                          <Button small kind="quiet" icon="undo" onClick={() => revert(one)} label={`Take back change ${one.id} of ${one.name}`}>
                            Take back
                          </Button>
                        </span>
                      ) : null,
                  },
                ]}
              />
              <Pages next={next} count={changes.length} what="change" />
            </>
          )
        }
      </Loaded>
    </div>
  );
}
