// Rows and columns. On a phone each row becomes a small card with the columns' names before the values.
import type { ComponentChildren } from 'preact';

export interface Column<Row> {
  name: string;
  cell: (row: Row) => ComponentChildren;
  number?: boolean; // right, tabular figures
  wide?: boolean; // takes what is left; the first line of the card on a phone
  label?: string | false; // before the value on a phone; false: none; left out: the name
  sort?: { now: 'up' | 'down' | null; by: () => void };
}
interface TableProps<Row> {
  rows: Row[];
  columns: Column<Row>[];
  id: (row: Row) => string | number;
  caption: string; // what the table is; for screen readers
  flat?: boolean; // scrolls sideways on a phone instead
  row?: (row: Row) => { class?: string; selected?: boolean; onClick?: () => void };
}

export function Table<Row>({ rows, columns, id, caption, flat, row: more }: TableProps<Row>) {
  return (
    <div class="table-frame" tabIndex={flat ? 0 : undefined} role={flat ? 'region' : undefined} aria-label={flat ? caption : undefined}>
      <table class={flat ? 'table' : 'table stacked'}>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.name}
                scope="col"
                class={column.number ? 'number' : undefined}
                aria-sort={column.sort?.now ? (column.sort.now === 'up' ? 'ascending' : 'descending') : undefined}
              >
                {column.sort ? (
                  <button type="button" class="sort" onClick={column.sort.by}>
                    {column.name} {column.sort.now === 'up' ? '↑' : column.sort.now === 'down' ? '↓' : ''}
                  </button>
                ) : (
                  column.name
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const extra = more?.(row);
            return (
              <tr key={id(row)} class={extra?.class} aria-selected={extra?.selected} onClick={extra?.onClick}>
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
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
