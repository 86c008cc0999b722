// Who does the work and who answers: agents by their record here, models with their prices, providers with their keys,
// tiers. Keys go in and never come out.
import { Tabs } from '../../parts';
import { navigate } from '../../router';
import { mayAsk } from '../../session';
import type { ScreenProps } from '../../screens';
import { Head } from '../list';
import { Agents } from './Agents';
import { ModelList } from './ModelList';
import { ProviderList } from './Providers';
import { Tiers } from './Tiers';
import './models.css';

const tabs = [
  { id: 'agents', title: 'Agents' },
  { id: 'models', title: 'Models' },
  { id: 'providers', title: 'Providers' },
  { id: 'tiers', title: 'Tiers' },
];

export default function ModelsScreen({ query }: ScreenProps) {
  const shown = tabs.filter((one) => one.id !== 'providers' || mayAsk('providers_list'));
  const tab = shown.find((one) => one.id === query.get('tab'))?.id ?? 'agents';
  return (
    <div class="stack models">
      <Head title="Agents and models" />
      <Tabs tabs={shown} now={tab} onChoose={(id) => navigate(id === 'agents' ? '/models' : `/models?tab=${id}`, { replace: true })} label="Agents and models" />
      <section role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`} class="stack">
        {tab === 'agents' ? <Agents /> : tab === 'models' ? <ModelList /> : tab === 'providers' ? <ProviderList /> : <Tiers />}
      </section>
    </div>
  );
}
