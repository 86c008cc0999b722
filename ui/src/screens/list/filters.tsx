// Filters and pages live in the address: a link shows what its sender saw, and the browser's back goes one page back.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Query } from '../../api';
import { Icon } from '../../parts';
import { setQuery, useRoute } from '../../router';

export interface Filter {
  name: string; // in the address
  title: string;
  choices?: { id: string; title: string }[]; // else text
  placeholder?: string;
  mono?: boolean;
}

export const periods = [
  { id: '', title: 'any time' },
  { id: '1d', title: 'last 24 hours' },
  { id: '7d', title: 'last 7 days' },
  { id: '30d', title: 'last 30 days' },
  { id: '90d', title: 'last 90 days' },
];

// "7d" of the address to seconds since 1970, whole minutes so that the address of a fetch stays the same for a while.
export function sinceSeconds(period: string | null): number | null {
  const found = /^(\d{1,4})d$/.exec(period ?? '');
  return found ? Math.floor(Date.now() / 60_000) * 60 - Number(found[1]) * 86_400 : null;
}

// The query of a fetch from that of the address: the filters that are set, "since" in seconds, the page.
export function pageQuery(query: URLSearchParams, filters: Filter[], more: Query = {}): Query {
  const out: Query = {};
  for (const { name } of filters) out[name] = name === 'since' ? sinceSeconds(query.get(name)) : query.get(name);
  return { ...out, before: query.get('before'), ...more };
}

function Text({ filter, now }: { filter: Filter; now: string }) {
  const [text, setText] = useState(now);
  const wait = useRef<ReturnType<typeof setTimeout> | null>(null);
  useEffect(() => setText(now), [now]);
  const apply = (value: string) => {
    if (wait.current) clearTimeout(wait.current);
    if (value !== now) setQuery({ [filter.name]: value.trim() || null, before: null });
  };
  return (
    <input
      type="search"
      id={`filter-${filter.name}`}
      class={filter.mono ? 'mono' : undefined}
      value={text}
      placeholder={filter.placeholder ?? 'any'}
      autocomplete="off"
      spellcheck={false}
      onInput={(event) => {
        const { value } = event.currentTarget;
        setText(value);
        if (wait.current) clearTimeout(wait.current);
        wait.current = setTimeout(() => apply(value), 400);
      }}
      onBlur={(event) => apply(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') apply(event.currentTarget.value);
      }}
    />
  );
}

export function Filters({ filters, label }: { filters: Filter[]; label: string }) {
  const { query } = useRoute();
  const set = filters.filter(({ name }) => query.get(name));
  return (
    <div class="filters" role="search" aria-label={label}>
      {filters.map((filter) => (
        <label key={filter.name} for={`filter-${filter.name}`}>
          <span>{filter.title}</span>
          {filter.choices ? (
            <select id={`filter-${filter.name}`} value={query.get(filter.name) ?? ''} onChange={(event) => setQuery({ [filter.name]: event.currentTarget.value || null, before: null })}>
              {filter.choices.map((choice) => (
                <option key={choice.id} value={choice.id}>
                  {choice.title}
                </option>
              ))}
            </select>
          ) : (
            <Text filter={filter} now={query.get(filter.name) ?? ''} />
          )}
        </label>
      ))}
      {set.length > 0 && (
        <button type="button" class="button quiet small" onClick={() => setQuery({ ...Object.fromEntries(set.map(({ name }) => [name, null])), before: null })}>
          <Icon name="cross" /> Clear
        </button>
      )}
    </div>
  );
}

// Newest first: on to what is older, back to the newest. Each page is an entry of the browser's history.
export function Pages({ next, count, what }: { next: number | string | null | undefined; count: number; what: string }) {
  const { query } = useRoute();
  const later = query.get('before');
  if (!later && (next === null || next === undefined)) return <p class="small muted pages">{count === 1 ? `1 ${what}` : `${count} ${what}s`}</p>;
  return (
    <nav class="pages line" aria-label="Pages">
      {later && (
        <button type="button" class="button small" onClick={() => setQuery({ before: null }, { push: true })}>
          Newest
        </button>
      )}
      {next !== null && next !== undefined ? (
        <button type="button" class="button small" onClick={() => setQuery({ before: String(next) }, { push: true })}>
          Older <Icon name="right" />
        </button>
      ) : (
        <span class="small muted">These are the oldest.</span>
      )}
    </nav>
  );
}
