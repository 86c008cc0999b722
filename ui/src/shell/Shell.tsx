// The frame: strip, navigation, the screen in the middle, palette and toasts. Screens are loaded when they are gone to.
import { Component, type ComponentChildren, type ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../api';
import { useCell } from '../cell';
import { liveStatus, useLive } from '../live';
import { Banner, Button, Empty, Toasts, Waiting } from '../parts';
import { Link, match, navigate, route, useRoute } from '../router';
import { screens, type Screen, type ScreenProps } from '../screens';
import { loadSession, session, sessionProblem } from '../session';
import type { Schemas } from '../types';
import { Navigation, PhoneBar } from './Navigation';
import { Palette, paletteOpen } from './Palette';
import { Strip } from './Strip';
import { loadStats } from './summary';

type Loaded = ComponentType<ScreenProps>;
const loaded = new Map<Screen, Loaded>();

function find(path: string): { screen: Screen; params: Record<string, string> } | null {
  for (const screen of screens) {
    const params = match(screen.path, path);
    if (params) return { screen, params };
  }
  return null;
}

// What the first screen needs is asked for before anything is drawn: who it is and the screen's own code, side by side.
export function begin(): void {
  void loadSession();
  const screen = find(location.pathname)?.screen;
  screen?.load().then(
    (module) => loaded.set(screen, module.default),
    () => undefined, // it is tried again, and told, when it is shown
  );
}

class Guard extends Component<{ children: ComponentChildren; at: string }, { error: unknown; at: string }> {
  override state = { error: null as unknown, at: this.props.at };
  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }
  override componentDidUpdate() {
    if (this.state.error && this.state.at !== this.props.at) this.setState({ error: null, at: this.props.at });
  }
  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <Empty title="This screen has failed" action={<Button onClick={() => location.reload()}>Load the page again</Button>}>
        {String(this.state.error)}
      </Empty>
    );
  }
}

function ScreenAt() {
  const { path, query } = useRoute();
  const found = find(path);
  const [, redraw] = useState(0);
  const [failed, setFailed] = useState<Screen | null>(null);
  const screen = found?.screen;
  const Body = screen && loaded.get(screen);
  useEffect(() => {
    document.title = screen ? `${screen.title} · Nightmill` : 'Nightmill';
    if (!screen || Body) return; // it was there when this was drawn; it may be there by now
    screen.load().then(
      (module) => {
        loaded.set(screen, module.default);
        redraw((n) => n + 1);
      },
      () => setFailed(screen),
    );
  }, [screen]);
  if (path === '/') return <Waiting what="where you were" />;
  if (!found)
    return (
      <Empty title="There is no such page" action={<Link to="/tasks">To the tasks</Link>}>
        The address {path} names nothing here.
      </Empty>
    );
  if (Body)
    return (
      <Guard at={path}>
        <Body params={found.params} query={query} key={found.screen.path + JSON.stringify(found.params)} />
      </Guard>
    );
  if (failed === found.screen)
    return (
      <Empty title="This part of the page could not be fetched" action={<Button onClick={() => location.reload()}>Load the page again</Button>}>
        The server is away, or it was updated since the page was opened.
      </Empty>
    );
  return <Waiting what="the screen" />;
}

const builtFor: { build: string } = { build: '' };
function NewVersion() {
  const { build } = useCell(liveStatus);
  if (build && !builtFor.build) builtFor.build = build;
  if (!build || build === builtFor.build) return null;
  return (
    <Banner role="status" actions={<Button small onClick={() => location.reload()}>Load it</Button>}>
      Nightmill was updated to {build}. This page is of the version before.
    </Banner>
  );
}

const inText = (target: EventTarget | null) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function useKeys(): void {
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        paletteOpen.set(!paletteOpen.value);
      } else if (event.key === '/' && !inText(event.target) && !event.ctrlKey && !event.metaKey && !event.defaultPrevented) {
        const search = document.querySelector<HTMLInputElement>('main input[type=search]');
        if (search) {
          event.preventDefault();
          search.focus();
        }
      }
    };
    window.addEventListener('keydown', key);
    return () => window.removeEventListener('keydown', key);
  }, []);
}

function useStats(): void {
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const soon = () => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      void loadStats();
    }, 250);
  };
  useLive(['tasks', 'approvals', 'money'], soon, soon, soon);
  useEffect(() => {
    void loadStats();
    const ticking = setInterval(() => {
      if (liveStatus.value.state !== 'open' && !document.hidden) void loadStats();
    }, 5_000);
    return () => clearInterval(ticking);
  }, []);
}

function Frame() {
  const { path } = useRoute();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useStats();
  // Another screen: screen readers and keys begin at its top.
  useEffect(() => {
    if (!first.current) {
      main.current?.focus({ preventScroll: true });
      main.current?.scrollTo(0, 0);
    }
    first.current = false;
  }, [path]);
  return (
    <div class="shell">
      <a class="skip button" href="#main">
        To the content
      </a>
      <Strip />
      <Navigation />
      <main class="main" id="main" tabIndex={-1} ref={main}>
        <NewVersion />
        <ScreenAt />
      </main>
      <PhoneBar />
      <Palette />
    </div>
  );
}

export function Shell() {
  const who = useCell(session);
  const problem = useCell(sessionProblem);
  const { path } = useRoute();
  const known = !!who?.user;
  useKeys();
  useEffect(() => {
    if (path !== '/' || !known) return;
    // Where nothing was asked for yet, the first steps are the home.
    const go = (to: string) => route.value.path === '/' && navigate(to, { replace: true });
    get<Schemas['TaskCounts']>('tasks/counts').then(
      (counts) => go(counts.all ? '/tasks' : '/first'),
      () => go('/tasks'),
    );
  }, [path, known]);
  const bare = find(path)?.screen.bare;
  return (
    <>
      {!who ? (
        <main class="main">
          {problem ? <p class="muted">The server does not answer yet. This page goes on by itself as soon as it does.</p> : <Waiting what="who you are" />}
        </main>
      ) : bare ? (
        <main class="main bare" id="main">
          <ScreenAt />
        </main>
      ) : who.user ? (
        <Frame />
      ) : (
        <main class="main">
          <p>
            You are not logged in. <Link to={`/login?next=${encodeURIComponent(path)}`}>Log in</Link>
          </p>
        </main>
      )}
      <Toasts />
    </>
  );
}
