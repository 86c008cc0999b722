// One WebSocket to the daemon's event stream: subscribes, numbers, comes back by itself from where it was. Knows nothing
// of pages; it runs in the shared worker (worker.ts), or in the page where there are no shared workers.
export interface LiveEvent {
  n?: number; // number in the whole installation; ephemeral ones (presence) have none
  topic: string;
  also?: string[];
  event: string; // in the product's words: message, agent_update, build_progress, notification, task_update, ...
  type: string; // as in the journal: tool.finished, verdict, ...
  time: string;
  actor?: string;
  task?: string;
  number?: number; // in its task
  data: Record<string, unknown>;
}
export interface Viewer {
  client: string;
  user: string;
  at: string;
  since?: string;
}
export type LineState = 'connecting' | 'open' | 'lost';
export type LineNews =
  | { kind: 'state'; state: LineState; build: string; client: string; lastAt: number }
  | { kind: 'event'; event: LiveEvent }
  | { kind: 'resync'; topics: string[] }
  | { kind: 'subscribed'; topics: string[] }
  | { kind: 'viewers'; viewers: Viewer[] }
  | { kind: 'expired' };

const slowest = 10_000;

export class Line {
  private socket: WebSocket | null = null;
  private topics = new Set<string>();
  private pending = new Set<string>();
  private since: number | null = null;
  private at: string | null = null;
  private attempts = 0;
  private retry: ReturnType<typeof setTimeout> | null = null;
  private watchdog: ReturnType<typeof setTimeout> | null = null;
  private patience = 40_000;
  state: LineState = 'connecting';
  build = '';
  client = '';
  lastAt = 0;
  viewers: Viewer[] = [];

  constructor(
    private readonly url: string,
    private readonly tell: (news: LineNews) => void,
  ) {}

  want(topics: string[]): void {
    const fresh = topics.filter((topic) => !this.topics.has(topic));
    for (const topic of fresh) this.topics.add(topic);
    if (!this.socket) this.open();
    else if (this.state === 'open' && fresh.length) this.subscribe(fresh, null);
    else if (this.state === 'open' && !topics.some((topic) => this.pending.has(topic)))
      this.tell({ kind: 'subscribed', topics });
  }

  leave(topics: string[]): void {
    const gone = topics.filter((topic) => this.topics.delete(topic));
    if (gone.length && this.state === 'open') this.say({ unsubscribe: { topics: gone } });
  }

  presence(at: string): void {
    if (this.at === at) return;
    this.at = at;
    if (this.state === 'open') this.say({ presence: { at } });
  }

  // The network is back, or the page was woken: no need to wait for the next try.
  hurry(): void {
    if (this.state === 'open' || !this.retry) return;
    clearTimeout(this.retry);
    this.retry = null;
    this.open();
  }

  private say(message: unknown): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private subscribe(topics: string[], since: number | null): void {
    for (const topic of topics) this.pending.add(topic);
    this.say({ subscribe: since === null ? { topics } : { topics, since } });
  }

  private open(): void {
    const socket = new WebSocket(this.url, 'nightmill.stream.v1');
    this.socket = socket;
    this.listen();
    socket.onmessage = (message) => {
      if (this.socket !== socket) return;
      this.lastAt = Date.now();
      this.listen();
      if (typeof message.data === 'string') this.take(message.data);
    };
    socket.onclose = (close) => {
      if (this.socket === socket) this.lost(close.code === 4401);
    };
  }

  // Something must come within the server's heartbeat; a dead network says nothing by itself.
  private listen(): void {
    if (this.watchdog) clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      const socket = this.socket;
      this.lost(false);
      socket?.close();
    }, this.patience);
  }

  private lost(expired: boolean): void {
    this.socket = null;
    this.pending.clear();
    if (this.watchdog) clearTimeout(this.watchdog);
    this.change('lost');
    if (expired) {
      this.tell({ kind: 'expired' });
      this.attempts = 5;
    }
    const wait = Math.min(slowest, 250 * 2 ** this.attempts) * (0.75 + Math.random() / 2);
    this.attempts = Math.min(this.attempts + 1, 6);
    if (this.retry) clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      this.retry = null;
      this.open();
    }, wait);
  }

  private change(state: LineState): void {
    this.state = state;
    this.tell({ kind: 'state', state, build: this.build, client: this.client, lastAt: this.lastAt });
  }

  private take(text: string): void {
    const message = JSON.parse(text) as {
      hello?: { build: string; now: number; heartbeat_s: number; client: string };
      subscribed?: { topics: string[]; since: number; now: number };
      resync?: { topics: string[]; n: number };
      heartbeat?: { n: number };
      presence?: { viewers: Viewer[] };
    } & Partial<LiveEvent>;
    if (message.hello) {
      this.build = message.hello.build;
      this.client = message.hello.client;
      this.patience = Math.max(5, message.hello.heartbeat_s * 2.5) * 1000;
      this.attempts = 0;
      this.change('open');
      if (this.topics.size) this.subscribe([...this.topics], this.since);
      this.since ??= message.hello.now;
      if (this.at !== null) this.say({ presence: { at: this.at } });
    } else if (message.subscribed) {
      this.pending.clear();
      this.tell({ kind: 'subscribed', topics: message.subscribed.topics });
    } else if (message.resync) {
      this.reached(message.resync.n);
      this.tell({ kind: 'resync', topics: message.resync.topics });
    } else if (message.heartbeat) {
      this.reached(message.heartbeat.n);
      this.change('open'); // the age of the last word is shown
    } else if (message.presence?.viewers) {
      this.viewers = message.presence.viewers;
      this.tell({ kind: 'viewers', viewers: this.viewers });
    } else if (message.topic && message.event) {
      const event = message as LiveEvent;
      if (event.n !== undefined) this.reached(event.n);
      if (event.topic === 'presence') this.present(event);
      this.tell({ kind: 'event', event });
    }
  }

  private reached(n: number): void {
    if (this.since === null || n > this.since) this.since = n;
  }

  private present(event: LiveEvent): void {
    const who = event.data as unknown as Viewer;
    this.viewers = this.viewers.filter((viewer) => viewer.client !== who.client);
    if (event.event !== 'collaborator_left') this.viewers.push(who);
    this.tell({ kind: 'viewers', viewers: this.viewers });
  }
}
