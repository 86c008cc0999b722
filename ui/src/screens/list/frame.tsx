// The head of a screen, the state of a fetch, and a row of figures.
import type { ComponentChildren } from 'preact';
import type { Data } from '../../live';
import { Waiting, Wrong } from '../../parts';
import './list.css';

export const Head = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <header class="page-head">
    <h1>{title}</h1>
    {children}
  </header>
);

// What was fetched, or why it is not there. Old data stays while the server is away.
export function Loaded<T>({ of, what, children }: { of: Data<T>; what: string; children: (data: T) => ComponentChildren }) {
  if (of.data === undefined) return of.error ? <Wrong error={of.error} retry={of.reload} /> : <Waiting what={what} />;
  return (
    <>
      {of.error && of.error.status !== 0 && <Wrong error={of.error} retry={of.reload} />}
      {children(of.data)}
    </>
  );
}

export interface Figure {
  name: string;
  value: ComponentChildren;
  note?: ComponentChildren;
}
export const Figures = ({ list }: { list: Figure[] }) => (
  <dl class="figures">
    {list.map((one) => (
      <div key={one.name}>
        <dt>{one.name}</dt>
        <dd>
          <span class="figure">{one.value}</span>
          {one.note && <span class="note">{one.note}</span>}
        </dd>
      </div>
    ))}
  </dl>
);
