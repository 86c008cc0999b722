// A window onto very many lines of the same height: only those that can be seen are in the document. The scroll area is
// cut into pages, because browsers cannot make an element higher than some ten million pixels.
import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Button } from './Button';

export const lineHeight = 20;
const beyond = 20; // lines above and below what is seen
export const pageLines = 500_000;

export interface LinesHandle {
  goTo: (line: number, where?: 'middle' | 'top' | 'end') => void;
  first: () => number; // the first line that is seen
  focus: () => void;
}
interface LinesProps {
  total: number;
  render: (line: number) => ComponentChildren; // lines count from 1
  label: string;
  follow?: boolean; // stays at the end when lines come
  onFollow?: (follow: boolean) => void; // somebody scrolled away from the end, or back to it
  onSeen?: (from: number, to: number) => void;
  pin?: number; // stays in the document wherever the window is: the row that has the focus
  handle?: { current: LinesHandle | null };
  class?: string;
}

export function Lines({ total, render, label, follow, onFollow, onSeen, pin, handle, class: more }: LinesProps) {
  const area = useRef<HTMLDivElement>(null);
  const [page, setPage] = useState(0);
  const [seen, setSeen] = useState<{ from: number; to: number }>({ from: 1, to: 60 });
  const pages = Math.max(1, Math.ceil(total / pageLines));
  const at = Math.min(page, pages - 1);
  const base = at * pageLines; // lines before this page
  const here = Math.min(pageLines, total - base);
  const jump = useRef<{ line: number; where: 'middle' | 'top' | 'end' } | null>(null);
  const own = useRef(0); // scroll position that we have set ourselves
  const following = useRef(!!follow);
  following.current = !!follow;

  const look = useCallback(() => {
    const element = area.current;
    if (!element) return;
    const from = base + Math.floor(element.scrollTop / lineHeight) + 1;
    const to = base + Math.ceil((element.scrollTop + element.clientHeight) / lineHeight);
    setSeen((old) => (old.from === from && old.to === to ? old : { from, to }));
    onSeen?.(from, Math.min(to, total));
  }, [base, total, onSeen]);

  const put = (top: number) => {
    const element = area.current;
    if (!element) return;
    element.scrollTop = top;
    own.current = element.scrollTop;
  };

  useImperativeHandle(handle ?? { current: null }, () => ({
    goTo: (line, where = 'middle') => {
      jump.current = { line: Math.max(1, Math.min(line, total)), where };
      setPage(Math.floor((Math.max(1, line) - 1) / pageLines));
      setSeen((old) => ({ ...old }));
    },
    first: () => seen.from,
    focus: () => area.current?.focus({ preventScroll: true }),
  }));

  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    if (jump.current) {
      const { line, where } = jump.current;
      const top = (line - base - 1) * lineHeight;
      jump.current = null;
      put(where === 'top' ? top : where === 'end' ? top - element.clientHeight + lineHeight : top - element.clientHeight / 2);
    } else if (follow) {
      if (at !== pages - 1) setPage(pages - 1);
      else put(element.scrollHeight);
    }
    look();
  });

  useEffect(() => {
    const element = area.current;
    if (!element) return;
    const watch = new ResizeObserver(() => {
      if (following.current) put(element.scrollHeight);
      look();
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, [look]);

  const scrolled = () => {
    const element = area.current!;
    look();
    if (Math.abs(element.scrollTop - own.current) < 2) return; // that was us
    own.current = -1;
    const end = at === pages - 1 && element.scrollTop + element.clientHeight >= element.scrollHeight - lineHeight;
    if (end !== following.current) onFollow?.(end);
  };

  const toPage = (next: number, to: { line: number; where: 'top' | 'end' }) => {
    jump.current = to;
    onFollow?.(false);
    setPage(next);
  };
  const from = Math.max(base + 1, seen.from - beyond);
  const to = Math.min(base + here, Math.max(seen.to, seen.from + 10) + beyond);
  const rows: ComponentChildren[] = [];
  const row = (line: number) =>
    rows.push(
      <div key={line} class="lines-row" style={{ top: `${(line - base - 1) * lineHeight}px` }}>
        {render(line)}
      </div>,
    );
  if (pin && pin > base && pin < from) row(pin);
  for (let line = from; line <= to; line++) row(line);
  if (pin && pin > to && pin <= base + here) row(pin);
  const word = (n: number) => n.toLocaleString('en').replaceAll(',', ' ');
  return (
    <div class={`lines ${more ?? ''}`}>
      {pages > 1 && (
        <div class="line lines-pages small">
          <Button small kind="quiet" why={at === 0 && 'This is the first part'} onClick={() => toPage(at - 1, { line: base, where: 'end' })}>
            Earlier part
          </Button>
          <span class="mono">
            {word(base + 1)} to {word(base + here)} of {word(total)}
          </span>
          <Button small kind="quiet" why={at === pages - 1 && 'This is the last part'} onClick={() => toPage(at + 1, { line: base + pageLines + 1, where: 'top' })}>
            Later part
          </Button>
        </div>
      )}
      <div class="lines-area" ref={area} onScroll={scrolled} tabIndex={0} role="region" aria-label={label}>
        <div class="lines-all" style={{ height: `${here * lineHeight}px` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}
