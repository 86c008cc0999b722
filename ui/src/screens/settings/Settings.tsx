// Every setting of the register, by group, each with its range, origin and effect; what was changed and by whom; notifications.
import { useEffect, useState } from 'preact/hooks';
import { get } from '../../api';
import { useData } from '../../live';
import { Banner, Command, Empty, Tabs } from '../../parts';
import { navigate, setQuery } from '../../router';
import type { ScreenProps } from '../../screens';
import { Head, Loaded } from '../list';
import type { AgentRecord } from '../money/types';
import { History } from './History';
import { Notifications } from './Notifications';
import { Row } from './Row';
import type { Setting, Settings as All } from './types';
import './settings.css';

const tabs = [
  { id: 'values', title: 'Settings' },
  { id: 'history', title: 'History' },
  { id: 'notifications', title: 'Notifications' },
];

const fits = (one: Setting, words: string[]) => words.every((word) => `${one.name} ${one.help} ${one.environment}`.toLowerCase().includes(word));

function Values({ query }: { query: URLSearchParams }) {
  const data = useData<All>('settings', { topics: ['settings'] });
  const [records, setRecords] = useState<AgentRecord[]>([]);
  const [mine, setMine] = useState<Record<string, Setting>>({});
  const search = query.get('q') ?? '';
  const [text, setText] = useState(search);
  useEffect(() => {
    get<{ records: AgentRecord[] }>('agents/record', { by: 'kind' }).then(
      (found) => setRecords(found.records),
      () => undefined,
    );
  }, []);
  useEffect(() => setMine({}), [data.data]); // the newer answer has it
  useEffect(() => setText(search), [search]);
  return (
    <Loaded of={data} what="the settings">
      {(all) => {
        const settings = all.settings.map((one) => mine[one.name] ?? one);
        const known = { records, value: (name: string) => settings.find((one) => one.name === name)?.value ?? '' };
        const words = search.toLowerCase().split(/\s+/).filter(Boolean);
        const only = query.get('show');
        const group = all.groups.find((one) => one.name === query.get('group'))?.name ?? all.groups.find((one) => settings.some((s) => s.group === one.name))?.name ?? '';
        const some = words.length > 0 || !!only;
        const shown = settings.filter((one) => (some ? fits(one, words) && (only !== 'changed' || one.origin !== 'default') : one.group === group));
        const groups = all.groups.filter((one) => shown.some((s) => s.group === one.name));
        const changed = settings.filter((one) => one.origin !== 'default').length;
        return (
          <div class="settings-split">
            <nav class="settings-groups" aria-label="Groups of settings">
              <label class="hidden" for="settings-search">
                Search settings
              </label>
              <input
                type="search"
                id="settings-search"
                value={text}
                placeholder={`Search ${settings.length} settings`}
                onInput={(event) => {
                  setText(event.currentTarget.value);
                  setQuery({ q: event.currentTarget.value || null });
                }}
              />
              <ul>
                {all.groups
                  .filter((one) => settings.some((s) => s.group === one.name))
                  .map((one) => (
                    <li key={one.name}>
                      <button type="button" aria-current={!some && one.name === group ? 'true' : undefined} onClick={() => setQuery({ group: one.name, q: null, show: null })}>
                        {one.title}
                        <span class="small muted">{settings.filter((s) => s.group === one.name).length}</span>
                      </button>
                    </li>
                  ))}
                <li>
                  <button type="button" aria-current={only === 'changed' ? 'true' : undefined} onClick={() => setQuery({ show: 'changed', q: null, group: null })}>
                    Not at the default
                    <span class="small muted">{changed}</span>
                  </button>
                </li>
              </ul>
            </nav>
            <div class="stack settings-list">
              {all.restart_needed && (
                <Banner kind="you" icon="clock">
                  Some of what was set holds after the next start of the daemon: <Command line="nightmill daemon restart" />
                </Banner>
              )}
              {shown.length === 0 && (
                <Empty title={only === 'changed' && !words.length ? 'Every setting is at its default' : 'No setting has these words'} command="nightmill config show">
                  The search looks in names and explanations.
                </Empty>
              )}
              {groups.map((one) => (
                <section key={one.name} aria-labelledby={`group-${one.name}`}>
                  <h2 id={`group-${one.name}`}>{one.title}</h2>
                  {shown
                    .filter((s) => s.group === one.name)
                    .map((s) => (
                      <Row
                        key={s.name}
                        one={s}
                        known={known}
                        onChanged={(now) => {
                          setMine((old) => ({ ...old, [now.name]: now }));
                          data.reload();
                        }}
                      />
                    ))}
                </section>
              ))}
              <p class="small muted">
                Highest first: option, environment, file{all.file ? ` (${all.file}${all.file_exists ? '' : ', which does not exist'})` : ''}, what is set here, default. What a file or the environment says is locked here.
              </p>
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}

export default function Settings({ query }: ScreenProps) {
  const tab = tabs.find((one) => one.id === query.get('tab'))?.id ?? 'values';
  return (
    <div class="stack settings">
      <Head title="Settings" />
      <Tabs tabs={tabs} now={tab} onChoose={(id) => navigate(id === 'values' ? '/settings' : `/settings?tab=${id}`, { replace: true })} label="Settings" />
      <section role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`} class="stack">
        {tab === 'values' ? <Values query={query} /> : tab === 'history' ? <History query={query} /> : <Notifications query={query} />}
      </section>
    </div>
  );
}
