// Who may come in: people with their roles, keys for programs, logins that are open. What opens something is shown once.
import { Tabs } from '../../parts';
import { navigate } from '../../router';
import type { ScreenProps } from '../../screens';
import { may } from '../../session';
import { Head } from '../list';
import { Keys } from './Keys';
import { Logins } from './Logins';
import { Users } from './Users';
import './people.css';

export default function People({ query }: ScreenProps) {
  const tabs = [...(may('admin') ? [{ id: 'users', title: 'Users' }] : []), { id: 'keys', title: 'Keys' }, { id: 'logins', title: 'Your logins' }];
  const tab = tabs.find((one) => one.id === query.get('tab'))?.id ?? tabs[0]!.id;
  return (
    <div class="stack people">
      <Head title="Users and keys" />
      <Tabs tabs={tabs} now={tab} onChoose={(id) => navigate(`/people?tab=${id}`, { replace: true })} label="Users and keys" />
      <section role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`} class="stack">
        {tab === 'users' ? <Users /> : tab === 'keys' ? <Keys /> : <Logins />}
      </section>
    </div>
  );
}
