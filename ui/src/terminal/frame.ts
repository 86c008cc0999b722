// A terminal in a document of its own, because the library sets styles that the page's policy forbids. It joins a
// session over a WebSocket (src/api/api.md, Terminals), comes back after each break, and shows the last lines again.
// What arrives has passed the server's sanitizer; here nothing of it acts either: no title, clipboard, links.
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import './frame.css';

interface Viewer {
  viewer: number;
  name: string;
  writable: boolean;
}
interface Told {
  hello?: { viewer: number; writable: boolean; rows: number; cols: number; viewers: Viewer[] };
  live?: object;
  size?: { rows: number; cols: number };
  viewers?: Viewer[];
  files?: { state: string };
  gap?: { bytes: number };
  exit?: { code: number; signal: number; reason: string; words: string };
}

const query = new URLSearchParams(location.search);
const agent = query.get('what') === 'agent';
const path = `/api/v1/tasks/${encodeURIComponent(query.get('task') ?? '')}/terminal?${new URLSearchParams({
  what: agent ? 'agent' : 'shell',
  session: query.get('session') ?? '1',
  watch: query.get('watch') ?? '0',
})}`;
const firstWait = 500;
const longestWait = 8000;

const said = document.getElementById('said')!;
const screen = document.getElementById('screen')!;
document.documentElement.dataset['theme'] = query.get('theme') ?? '';

// ---- what it looks like ----

const colour = (name: string): string => {
  screen.style.color = `var(${name})`;
  const found = getComputedStyle(screen).color;
  screen.style.color = '';
  return found;
};
const theme = () => {
  const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
  const bright = (name: string) => `bright${name[0]!.toUpperCase()}${name.slice(1)}`;
  const colours = names.flatMap((name, i) => [name, bright(name)].map((one) => [one, colour(`--sgr-${i}`)]));
  return { ...Object.fromEntries(colours), background: colour('--paper'), foreground: colour('--text'), cursor: colour('--accent'), cursorAccent: colour('--paper'), selectionBackground: colour('--accent-soft') };
};

const terminal = new Terminal({
  cursorBlink: false,
  disableStdin: true,
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--mono'),
  fontSize: 13,
  linkHandler: { activate: () => undefined, hover: () => undefined, leave: () => undefined },
  minimumContrastRatio: 4.5,
  screenReaderMode: query.get('reader') === '1',
  scrollback: 20_000,
  theme: theme(),
});
const fit = new FitAddon();
terminal.loadAddon(fit);
for (const code of [0, 1, 2, 4, 7, 8, 9, 10, 11, 12, 52, 104, 110, 111, 112, 133, 633, 777, 1337]) terminal.parser.registerOscHandler(code, () => true);
terminal.open(screen);
terminal.textarea?.setAttribute('aria-label', agent ? 'What the agent prints' : 'Terminal. Shift and Tab leaves it.');
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (terminal.options.theme = theme()));

// ---- the line above ----

let viewers: Viewer[] = [];
let own = 0;
let writable = false;
let files = '';
let printed = false;
let state: 'joining' | 'open' | 'lost' | 'over' = 'joining';
let words = '';

function tell(): void {
  said.replaceChildren();
  const others = viewers.filter((one) => one.viewer !== own);
  const parts: string[] = [];
  if (state === 'joining') parts.push('Joining…');
  if (state === 'lost') parts.push('Reconnecting…');
  if (words) parts.push(words);
  if (state === 'open' && !printed && !agent) parts.push('Starting the shell…');
  else if (state === 'open') {
    if (!writable) parts.push(agent ? 'What the agent and the checks print, as it comes' : 'You look on');
    if (files === 'read-only' && !agent) parts.push('The agent is at work: its files are read-only here');
    parts.push(others.length ? `Also here: ${others.map((one) => (one.name || 'somebody') + (one.writable ? '' : ' (looks on)')).join(', ')}` : 'Nobody else is here');
    if (writable) parts.push('Shift+Tab leaves the terminal');
  }
  said.append(parts.join(' · '));
  if (state === 'over') {
    const button = document.createElement('button');
    button.textContent = 'Open it again';
    button.addEventListener('click', () => {
      words = '';
      join();
    });
    said.append(' ', button);
  }
}

// ---- the connection ----

let socket: WebSocket | null = null;
let wait = firstWait;
let ended = false;

const send = (message: string | Uint8Array<ArrayBuffer>): void => {
  if (socket?.readyState === WebSocket.OPEN && writable) socket.send(message);
};
const encoder = new TextEncoder();
terminal.onData((text) => send(encoder.encode(text)));
terminal.onBinary((text) => send(Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff)));

function sizeSend(): void {
  const size = fit.proposeDimensions();
  if (size && size.rows > 0 && size.cols > 0) send(JSON.stringify({ resize: { rows: Math.min(size.rows, 500), cols: Math.min(size.cols, 1000) } }));
}
new ResizeObserver(() => sizeSend()).observe(screen);

function heard(message: Told): void {
  if (message.hello) {
    terminal.reset();
    ({ viewer: own, writable, viewers } = message.hello);
    terminal.options.disableStdin = !writable;
    terminal.resize(message.hello.cols, message.hello.rows);
    state = 'open';
    wait = firstWait;
    sizeSend();
  }
  if (message.size) terminal.resize(message.size.cols, message.size.rows);
  if (message.viewers) viewers = message.viewers;
  if (message.files) files = message.files.state;
  if (message.gap) terminal.write(`\r\n\x1b[0;90m[${message.gap.bytes} bytes left out: this page was too slow for them]\x1b[0m\r\n`);
  if (message.exit) {
    ended = true;
    const { reason, code, signal } = message.exit;
    words = reason === 'exited' ? `The shell has ended${signal ? ` by signal ${signal}` : code ? ` with status ${code}` : ''}` : `It has ended: ${message.exit.words}`;
  }
  tell();
}

// A refused handshake tells a page nothing: the same question without it says why.
async function refusal(): Promise<{ title: string; hint?: string } | null> {
  const answer = await fetch(path, { headers: { Accept: 'application/json' } }).catch(() => null);
  if (!answer || answer.status === 400 || answer.status >= 500) return null;
  if (answer.status === 401) return { title: 'The login has ended', hint: 'log in again' };
  return (await answer.json().catch(() => null)) as { title: string; hint?: string } | null;
}

async function left(code: number, opened: boolean): Promise<void> {
  socket = null;
  if (ended || code === 4401) {
    state = 'over';
    if (code === 4401) words = 'The login has ended, or it may no more';
    writable = false;
    terminal.options.disableStdin = true;
    tell();
    return;
  }
  state = 'lost';
  tell();
  const why = opened ? null : await refusal();
  if (why) {
    state = 'over';
    words = why.hint ? `${why.title}: ${why.hint}` : why.title;
    tell();
    return;
  }
  setTimeout(join, wait);
  wait = Math.min(wait * 2, longestWait);
}

function join(): void {
  let opened = false;
  if (state === 'over') state = 'joining';
  ended = false;
  tell();
  const next = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${path}`, 'nightmill.terminal.v1');
  socket = next;
  next.binaryType = 'arraybuffer';
  next.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    opened = true;
    if (typeof data === 'string') heard(JSON.parse(data) as Told);
    else {
      terminal.write(new Uint8Array(data));
      if (!printed) {
        printed = true;
        tell();
      }
    }
  };
  next.onclose = ({ code }) => void left(code, opened);
}

// ---- keys that are the page's ----

terminal.attachCustomKeyEventHandler((event) => {
  if (event.key === 'Tab' && event.shiftKey) return false; // out of the terminal
  if (!writable && event.key === 'Tab') return false;
  const copies = (event.ctrlKey && event.shiftKey && event.code === 'KeyC') || (event.metaKey && event.code === 'KeyC');
  if (copies && event.type === 'keydown' && terminal.hasSelection()) {
    event.preventDefault();
    void navigator.clipboard?.writeText(terminal.getSelection());
    return false;
  }
  return !(event.ctrlKey && event.shiftKey && event.code === 'KeyV'); // the browser pastes
});

join();
