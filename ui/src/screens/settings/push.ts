// Notifications of this browser (web push). It wants https or this machine, and a click of the person.
import { get, post, request } from '../../api';
import type { Channel } from './types';

export function pushProblem(): string | null {
  if (!window.isSecureContext) return 'This page is not served by https. Browsers take notifications only from https, or from this machine.';
  if (!('serviceWorker' in navigator) || !('PushManager' in window)) return 'This browser has no web push. On an iPhone or iPad it has after the page was added to the home screen.';
  if (Notification.permission === 'denied') return 'This browser was told to refuse notifications of this page; its settings for this page change that.';
  return null;
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => {
  const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  const out = new Uint8Array(new ArrayBuffer(raw.length));
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
};

export const pushHere = async (): Promise<PushSubscription | null> => {
  if (pushProblem()) return null;
  const worker = await navigator.serviceWorker.getRegistration();
  return (await worker?.pushManager.getSubscription()) ?? null;
};

// A name by which its owner knows the device.
function device(): string {
  const agent = navigator.userAgent;
  const browser = /Firefox/.test(agent) ? 'Firefox' : /Edg\//.test(agent) ? 'Edge' : /Chrome/.test(agent) ? 'Chrome' : /Safari/.test(agent) ? 'Safari' : 'Browser';
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac OS/.test(agent) ? 'macOS' : /Windows/.test(agent) ? 'Windows' : /Linux/.test(agent) ? 'Linux' : '';
  return system ? `${browser}, ${system}` : browser;
}

export async function subscribePush(levels: string[]): Promise<Channel> {
  if ((await Notification.requestPermission()) !== 'granted') throw new Error('The browser was not allowed to notify.');
  const worker = await navigator.serviceWorker.ready;
  const { key } = await get<{ key: string }>('notifications/push_key');
  const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytesOf(key) });
  const { endpoint, keys } = subscription.toJSON();
  return post<Channel>('notifications/subscriptions', { endpoint, keys, device: device(), levels });
}

export async function unsubscribePush(): Promise<void> {
  const subscription = await pushHere();
  if (!subscription) return;
  await request('DELETE', 'notifications/subscriptions', { body: { endpoint: subscription.endpoint } });
  await subscription.unsubscribe();
}
