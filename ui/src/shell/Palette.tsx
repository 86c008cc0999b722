// Ctrl+K: goes to screens and tasks and does what can be done from anywhere.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get } from '../api';
import { cell, useCell } from '../cell';
import { Cut, Dialog, Icon, stateWord, type IconName } from '../parts';
import { navigate } from '../router';
import { groups, screens, type Screen } from '../screens';
import { may, session } from '../session';
import { logOut, pauseAll, resumeAll } from './deeds';
import { running, stats } from './summary';
import { nextTheme, theme } from './theme';

export const paletteOpen = cell(false);

interface Entry {
  id: string;
  title: string;
  icon: IconName;
  aside: string;
  words: string;
  do: () => void;
}
const actions = cell<Entry[]>([]);
// A screen offers what can be done on it, for as long as it is shown.
export function offer(entries: Entry[]): () => void {
  actions.set([...actions.value, ...entries]);
  return () => actions.set(actions.value.filter((one) => !entries.includes(one)));
}

const shownScreens = () => screens.filter((screen) => screen.group && (!screen.role || may(screen.role)));
const groupTitle = (screen: Screen) => groups.find((group) => group.id === screen.group)?.title ?? '';
const places = (screen: Screen): Entry[] => {
  const icon = screen.icon ?? ('right' as const);
  const here: Entry = { id: screen.path, title: screen.title, icon, aside: groupTitle(screen), words: screen.words ?? '', do: () => navigate(screen.path) };
  const tabs = Object.entries(screen.inside ?? {}).map(([id, title]) => ({ id: `${screen.path}?tab=${id}`, title, icon, aside: screen.title, words: '', do: () => navigate(`${screen.path}?tab=${id}`) }));
  return [here, ...tabs];
};

// What can be done from anywhere.
const deeds = (): Entry[] => [
  ...(may('member')
    ? [
        { id: 'pause', title: 'Pause everything', icon: 'pause' as const, aside: `${running(stats.value)} at work`, words: 'stop all tasks halt', do: () => void pauseAll() },
        { id: 'resume', title: 'Resume everything that was paused', icon: 'play' as const, aside: 'nightmill resume', words: 'go on all tasks', do: () => void resumeAll() },
      ]
    : []),
  { id: 'theme', title: 'Change between light and dark', icon: 'moon', aside: theme.value, words: 'theme colour', do: () => theme.set(nextTheme[theme.value]) },
  ...(session.value?.session ? [{ id: 'logout', title: 'Log out', icon: 'people' as const, aside: session.value.user?.name ?? '', words: 'sign out leave', do: () => void logOut() }] : []),
];
const fixed = (): Entry[] => [...shownScreens().flatMap(places), ...deeds()];

export function Palette() {
  const open = useCell(paletteOpen);
  return open ? <PaletteOpen /> : null;
}

function PaletteOpen() {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const [tasks, setTasks] = useState<Entry[]>([]);
  const offered = useCell(actions);
  const list = useRef<HTMLUListElement>(null);
  const close = () => paletteOpen.set(false);

  useEffect(() => {
    const control = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const found = await get<{ tasks: { id: string; title: string; state: string }[] }>('tasks', { text, limit: 8 }, control.signal);
        setTasks(found.tasks.map((task) => ({ id: `task-${task.id}`, title: task.title, icon: 'tasks', aside: `${stateWord(task.state)} · ${task.id}`, words: '', do: () => navigate(`/tasks/${task.id}`) })));
      } catch {
        /* only the rest is offered */
      }
    }, 150);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [text]);

  const shown = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (where: string) => words.every((word) => where.toLowerCase().includes(word));
    const all = [...offered, ...fixed()];
    const named = all.filter((entry) => has(entry.title));
    return [...named, ...all.filter((entry) => !named.includes(entry) && has(`${entry.title} ${entry.words} ${entry.aside}`)), ...tasks];
  }, [text, tasks, offered]);
  const chosen = Math.min(at, Math.max(0, shown.length - 1));
  useEffect(() => list.current?.children[chosen]?.scrollIntoView({ block: 'nearest' }), [chosen]);

  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    close();
    entry.do();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(chosen + 1, shown.length - 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(chosen - 1, 0));
    else if (event.key === 'Enter') run(shown[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog open title="Go to or do" plain onClose={close} class="palette">
      <input
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={shown.length ? `palette-${chosen}` : undefined}
        aria-label="Go to or do"
        placeholder="Go to or do …"
        autocomplete="off"
        spellcheck={false}
        autofocus
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={key}
      />
      <ul id="palette-list" role="listbox" aria-label="What there is" ref={list}>
        {shown.map((entry, i) => (
          <li key={entry.id} id={`palette-${i}`} role="option" aria-selected={i === chosen} onClick={() => run(entry)} onMouseMove={() => setAt(i)}>
            <Icon name={entry.icon} />
            <Cut text={entry.title} most={100} />
            <span class="push">{entry.aside}</span>
          </li>
        ))}
      </ul>
      {!shown.length && <p class="none">Nothing has this in its name.</p>}
    </Dialog>
  );
}
