// Short words about what was just done, with Undo where that is possible. Polite to screen readers; gone after a while,
// but not while somebody points at it or has focus in it.
import { cell, useCell } from '../cell';
import { Icon } from './Icon';
import { Cut } from './small';

interface Toast {
  id: number;
  words: string;
  kind: 'plain' | 'bad';
  action?: { words: string; do: () => unknown };
}
const toasts = cell<Toast[]>([]);
let last = 0;

const drop = (id: number) => toasts.set(toasts.value.filter((one) => one.id !== id));

export function toast(words: string, options: { kind?: 'plain' | 'bad'; action?: { words: string; do: () => unknown } } = {}): void {
  const id = ++last;
  const same = toasts.value.filter((one) => one.words !== words);
  toasts.set([...same.slice(-3), { id, words, kind: options.kind ?? 'plain', ...(options.action ? { action: options.action } : {}) }]);
  const leave = () => {
    if (document.querySelector(`[data-toast="${id}"]:is(:hover, :focus-within)`)) setTimeout(leave, 2000);
    else drop(id);
  };
  setTimeout(leave, options.kind === 'bad' || options.action ? 10_000 : 5_000);
}

export function Toasts() {
  const list = useCell(toasts);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {list.map((one) => (
        <div class="toast" key={one.id} data-toast={one.id}>
          {one.kind === 'bad' && <Icon name="warning" />}
          <span>
            <Cut text={one.words} most={400} />
          </span>
          {one.action && (
            <button
              type="button"
              class="button quiet small"
              onClick={() => {
                drop(one.id);
                void one.action?.do();
              }}
            >
              {one.action.words}
            </button>
          )}
          <button type="button" class="button quiet small" aria-label="Close" onClick={() => drop(one.id)}>
            <Icon name="cross" />
          </button>
        </div>
      ))}
    </div>
  );
}
