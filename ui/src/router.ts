// Paths of the page: links that are real links, the browser's own back and forward. Patterns are "/tasks/:id".
import { h, type AnchorHTMLAttributes, type ComponentChildren, type TargetedMouseEvent } from 'preact';
import { cell, useCell } from './cell';

export interface Route {
  path: string;
  query: URLSearchParams;
  hash: string;
}

const here = (): Route => ({
  path: location.pathname,
  query: new URLSearchParams(location.search),
  hash: location.hash.slice(1),
});
export const route = cell<Route>(here());
window.addEventListener('popstate', () => route.set(here()));

export function navigate(to: string, how: { replace?: boolean; keepScroll?: boolean } = {}): void {
  const before = location.pathname;
  if (how.replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  route.set(here());
  if (location.pathname !== before && !how.keepScroll) window.scrollTo(0, 0);
}

// Changes some of the query's names and leaves the others; null takes one away. No new entry in the history.
export function setQuery(changes: Record<string, string | null>, how: { push?: boolean } = {}): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  navigate(location.pathname + (text ? `?${text}` : '') + location.hash, { replace: !how.push, keepScroll: true });
}

export const useRoute = (): Route => useCell(route);

export function match(pattern: string, path: string): Record<string, string> | null {
  const want = pattern.split('/').filter(Boolean);
  const have = path.split('/').filter(Boolean);
  if (want.length !== have.length) return null;
  const params: Record<string, string> = {};
  for (const [i, part] of want.entries()) {
    if (part.startsWith(':')) {
      try {
        params[part.slice(1)] = decodeURIComponent(have[i]!);
      } catch {
        return null;
      }
    } else if (part !== have[i]) return null;
  }
  return params;
}

interface LinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, 'href'> {
  to: string;
  children?: ComponentChildren;
}
export function Link({ to, onClick, ...rest }: LinkProps) {
  const click = (event: TargetedMouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return h('a', { ...rest, href: to, onClick: click });
}
