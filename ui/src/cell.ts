// A value that components watch. Whoever holds the cell may set it; every component that uses it is drawn anew, and only
// that one. This is all the state management there is: what the server knows is fetched (live.ts), not kept here.
import { useEffect, useState } from 'preact/hooks';

export interface Cell<T> {
  readonly value: T;
  set(value: T): void;
  watch(told: (value: T) => void): () => void;
}

export function cell<T>(first: T): Cell<T> {
  let value = first;
  const watchers = new Set<(value: T) => void>();
  return {
    get value() {
      return value;
    },
    set(next) {
      if (Object.is(value, next)) return;
      value = next;
      for (const told of [...watchers]) told(value);
    },
    watch(told) {
      watchers.add(told);
      return () => watchers.delete(told);
    },
  };
}

export function useCell<T>(of: Cell<T>): T {
  const [value, setValue] = useState(of.value);
  useEffect(() => {
    setValue(() => of.value);
    return of.watch((next) => setValue(() => next));
  }, [of]);
  return value;
}

// A choice that the browser keeps, such as the theme. What cannot be stored (private windows) lasts for the page.
export function stored<T extends string>(name: string, first: T): Cell<T> {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(`nightmill.${name}`);
  } catch {
    /* storage is off */
  }
  const made = cell<T>((kept as T | null) ?? first);
  made.watch((value) => {
    try {
      if (value === first && first === '') localStorage.removeItem(`nightmill.${name}`);
      else localStorage.setItem(`nightmill.${name}`, value);
    } catch {
      /* storage is off */
    }
  });
  if (typeof window !== 'undefined')
    window.addEventListener('storage', (event) => {
      if (event.key === `nightmill.${name}`) made.set((event.newValue as T | null) ?? first);
    });
  return made;
}
