// The service worker: the page's own files are there without the server, notifications arrive without the page. The API is
// never cached: what a screen shows is the server's word of now, or "the server does not answer".
'use strict';

const SHELL = 'nightmill-shell-1'; // the document at / and the icons
const PARTS = 'nightmill-parts-1'; // hashed files: what has a name once never changes
const NEVER = /^\/(api|v1|health|ready|metrics|stats|terminal\.html)(\/|$)/;
const ICONS = ['/icon.svg', '/icon-192.png'];

// Files that a document names: its own scripts and styles.
const named = (html) => [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((found) => found[1]);

// Keeps a document and what it names. Another document means another build: parts of the one before go.
async function keep(answer) {
  const shell = await caches.open(SHELL);
  const parts = await caches.open(PARTS);
  const html = await answer.clone().text();
  const before = await shell.match('/');
  const changed = !before || (await before.text()) !== html;
  if (!changed) return;
  const want = new Set(named(html));
  await parts.addAll([...want]);
  await shell.put('/', answer);
  if (before) for (const request of await parts.keys()) if (!want.has(new URL(request.url).pathname)) await parts.delete(request);
}

self.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      await keep(await fetch('/', { headers: { Accept: 'text/html' }, cache: 'no-cache' }));
      await (await caches.open(SHELL)).addAll(ICONS);
    })(),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name.startsWith('nightmill-') && name !== SHELL && name !== PARTS) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

// A page that was asked says when the next worker may take over.
self.addEventListener('message', (event) => {
  if (event.data === 'take over') self.skipWaiting();
});

async function document_(event) {
  try {
    const answer = await fetch(event.request);
    if (answer.ok && !answer.redirected && (answer.headers.get('Content-Type') ?? '').startsWith('text/html')) event.waitUntil(keep(answer.clone()).catch(() => undefined));
    return answer;
  } catch (error) {
    const kept = await (await caches.open(SHELL)).match('/');
    if (kept) return kept;
    throw error;
  }
}

async function part(request) {
  const parts = await caches.open(PARTS);
  const kept = await parts.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await parts.put(request, answer.clone());
  return answer;
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin || NEVER.test(url.pathname)) return;
  if (request.mode === 'navigate') event.respondWith(document_(event));
  else if (url.pathname.startsWith('/assets/')) event.respondWith(part(request));
  else if (ICONS.includes(url.pathname)) event.respondWith(fetch(request).catch(async () => (await caches.match(request)) ?? Response.error()));
});

// ---- notifications: the message says which task and nothing of its content

self.addEventListener('push', (event) => {
  let said = {};
  try {
    said = event.data?.json() ?? {};
  } catch {
    // Not ours, or cut: still to be shown, browsers end subscriptions that stay silent.
  }
  const task = typeof said.task === 'string' && /^[0-9a-z]{1,32}$/.test(said.task) ? said.task : '';
  event.waitUntil(
    self.registration.showNotification(String(said.title ?? 'Nightmill').slice(0, 100), {
      body: String(said.body ?? 'Something has happened.').slice(0, 200),
      tag: task || 'nightmill',
      renotify: said.level === 'now',
      requireInteraction: said.level === 'now',
      icon: '/icon-192.png',
      data: { path: task ? `/tasks/${task}` : said.level === 'digest' ? '/tasks' : '/needs-you' },
    }),
  );
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const path = event.notification.data?.path ?? '/';
  event.waitUntil(
    (async () => {
      const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
      const there = pages.find((page) => new URL(page.url).pathname === path) ?? pages[0];
      if (!there) return self.clients.openWindow(path);
      await there.focus();
      if (new URL(there.url).pathname !== path) there.postMessage({ go: path });
    })(),
  );
});

// The browser has made another subscription in place of an old one: the server must know it.
self.addEventListener('pushsubscriptionchange', (event) => {
  event.waitUntil(
    (async () => {
      const options = event.oldSubscription?.options ?? event.newSubscription?.options;
      const made = event.newSubscription ?? (options && (await self.registration.pushManager.subscribe(options)));
      if (!made) return;
      const { endpoint, keys } = made.toJSON();
      await fetch('/api/v1/notifications/subscriptions', {
        method: 'POST',
        credentials: 'same-origin',
        headers: { 'Content-Type': 'application/json', 'X-Nightmill': '1' },
        body: JSON.stringify({ endpoint, keys, device: 'Browser' }),
      });
    })(),
  );
});
