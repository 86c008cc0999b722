// The shared worker: one stream for all tabs of this browser. Browsers allow few connections to one place, and ten tabs
// need not be ten viewers. A tab says which topics it wants and hears of nothing else.
import { Line, type LineNews } from './line';

export type TabWord =
  | { do: 'want' | 'leave'; topics: string[] }
  | { do: 'presence'; at: string }
  | { do: 'hurry' | 'alive' | 'bye' };

declare const self: SharedWorkerGlobalScope;

interface Tab {
  port: MessagePort;
  topics: Set<string>;
  heardAt: number;
}
const tabs = new Set<Tab>();
const forgetAfter = 180_000; // hidden tabs may speak once a minute only

const line = new Line(location.origin.replace(/^http/, 'ws') + '/api/v1/stream', (news) => {
  for (const tab of tabs) if (concerns(tab, news)) tab.port.postMessage(news);
});

function concerns(tab: Tab, news: LineNews): boolean {
  if (news.kind === 'event') return tab.topics.has(news.event.topic) || !!news.event.also?.some((topic) => tab.topics.has(topic));
  if (news.kind === 'resync' || news.kind === 'subscribed') return news.topics.some((topic) => tab.topics.has(topic));
  return true;
}

function leave(tab: Tab, topics: string[]): void {
  for (const topic of topics) tab.topics.delete(topic);
  line.leave(topics.filter((topic) => ![...tabs].some((other) => other.topics.has(topic))));
}

function drop(tab: Tab): void {
  tabs.delete(tab);
  leave(tab, [...tab.topics]);
}

self.onconnect = (connection) => {
  const port = connection.ports[0]!;
  const tab: Tab = { port, topics: new Set(), heardAt: Date.now() };
  tabs.add(tab);
  port.onmessage = (message: MessageEvent<TabWord>) => {
    const word = message.data;
    tab.heardAt = Date.now();
    tabs.add(tab); // one that was forgotten, or came back from the browser's memory
    if (word.do === 'want') {
      for (const topic of word.topics) tab.topics.add(topic);
      line.want(word.topics);
    } else if (word.do === 'leave') leave(tab, word.topics);
    else if (word.do === 'presence') line.presence(word.at);
    else if (word.do === 'hurry') line.hurry();
    else if (word.do === 'bye') drop(tab);
  };
  port.postMessage({ kind: 'state', state: line.state, build: line.build, client: line.client, lastAt: line.lastAt } satisfies LineNews);
  port.postMessage({ kind: 'viewers', viewers: line.viewers } satisfies LineNews);
};

setInterval(() => {
  for (const tab of tabs) if (Date.now() - tab.heardAt > forgetAfter) drop(tab);
}, 60_000);
