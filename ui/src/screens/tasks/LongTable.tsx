// A table of thousands of rows: groups of them that are far out of sight leave the document and keep their place by their
// height, so what the browser holds stays small. The markup is that of parts/Table. Arrow keys go from row to row.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Column } from '../../parts';

const groupRows = 50;
const near = '1200px 0px'; // beyond the window, where rows are still there

interface GroupProps<Row> {
  rows: Row[];
  first: number; // number of its first row
  columns: Column<Row>[];
  id: (row: Row) => string | number;
}
function Group<Row>({ rows, first, columns, id }: GroupProps<Row>) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [away, setAway] = useState(0); // its height when it is not in the document, else 0
  useEffect(() => {
    const element = body.current!;
    const watch = new IntersectionObserver(
      ([entry]) => {
        if (entry!.isIntersecting) setAway(0);
        else if (!element.contains(document.activeElement)) setAway((old) => old || element.offsetHeight);
      },
      { rootMargin: near },
    );
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return (
    <tbody ref={body} class={away ? 'tasks-away' : undefined} style={away ? { height: `${away}px` } : undefined}>
      {!away &&
        rows.map((row, i) => (
          <tr key={id(row)} aria-rowindex={first + i + 1}>
            {columns.map((column) => (
              <td
                key={column.name}
                class={[column.number && 'number', column.wide && 'wide'].filter(Boolean).join(' ') || undefined}
                data-label={column.label === false || column.wide ? undefined : (column.label ?? column.name)}
              >
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
    </tbody>
  );
}

interface LongTableProps<Row> {
  rows: Row[];
  total: number; // with those that are not fetched yet
  columns: Column<Row>[];
  id: (row: Row) => string | number;
  caption: string;
  more?: ComponentChildren; // below the rows
}
export function LongTable<Row>({ rows, total, columns, id, caption, more }: LongTableProps<Row>) {
  const key = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    const row = (event.target as HTMLElement).closest('tr');
    if (!by || !row || event.ctrlKey || event.metaKey || event.altKey) return;
    const links = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('tbody tr a')];
    const to = links[links.findIndex((link) => row.contains(link)) + by];
    if (!to) return;
    event.preventDefault();
    to.focus();
    to.closest('tr')?.scrollIntoView({ block: 'nearest' });
  };
  const groups: Row[][] = [];
  for (let at = 0; at < rows.length; at += groupRows) groups.push(rows.slice(at, at + groupRows));
  return (
    <div class="table-frame" onKeyDown={key}>
      <table class="table stacked tasks-table" aria-rowcount={total + 1}>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" class={column.number ? 'number' : undefined}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        {groups.map((group, i) => (
          <Group key={i} rows={group} first={i * groupRows + 1} columns={columns} id={id} />
        ))}
      </table>
      {more}
    </div>
  );
}

// Says when it comes near to what is seen; fetching is the caller's.
export function Near({ onNear, children }: { onNear: () => void; children: ComponentChildren }) {
  const place = useRef<HTMLDivElement>(null);
  const told = useRef(onNear);
  told.current = onNear;
  useEffect(() => {
    const watch = new IntersectionObserver(([entry]) => entry!.isIntersecting && told.current(), { rootMargin: '600px 0px' });
    watch.observe(place.current!);
    return () => watch.disconnect();
  });
  return <div ref={place}>{children}</div>;
}
