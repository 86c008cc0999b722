// The service worker of the page: started after the first paint, and never needed for anything. Its next version takes over
// when the person says so; a click on a notification leads to its task.
import { toast } from './parts/Toast';
import { navigate } from './router';
import { scriptUrl } from './trusted';

function offer(worker: ServiceWorker): void {
  toast('A newer version of this page is there', { action: { words: 'Load it', do: () => worker.postMessage('take over') } });
}

async function start(): Promise<void> {
  const known = !!navigator.serviceWorker.controller;
  const registration = await navigator.serviceWorker.register(scriptUrl('/sw.js'), { scope: '/' });
  if (known && registration.waiting) offer(registration.waiting);
  registration.addEventListener('updatefound', () => {
    const next = registration.installing;
    next?.addEventListener('statechange', () => {
      if (next.state === 'installed' && navigator.serviceWorker.controller) offer(next);
    });
  });
  let reloading = !known; // the first worker takes over a page that is its own already
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (!reloading) location.reload();
    reloading = true;
  });
  navigator.serviceWorker.addEventListener('message', (event: MessageEvent<{ go?: unknown } | null>) => {
    const to = event.data?.go;
    if (typeof to === 'string' && /^\/(?![/\\])/.test(to)) navigate(to);
  });
}

export function startOffline(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  const begin = () => void start().catch(() => undefined); // private windows and old browsers have none: the page works
  if (document.readyState === 'complete') begin();
  else window.addEventListener('load', begin, { once: true });
}
