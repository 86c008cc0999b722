// Bars of days, each told apart by what it went to. A part has its colour, its pattern and its place, so that colour is never
// the only sign; the arrow keys go from day to day, and what a day came to is said in words below. The same figures
// stand in a table beneath it.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Cut, Table, moneyText } from '../../parts';
import { fromPico } from './amount';
import { dateWords } from './days';

export interface Part {
  id: string;
  name: string;
  look: number; // its colour and pattern, 1 to `looks`; 0: the rest
}
export interface StacksProps {
  days: string[];
  parts: Part[]; // from the bottom up
  amounts: Map<string, bigint>[]; // of each day: part to pico-units
  label: string;
  currency: string;
}
export const looks = 6;
const height = 220;
const foot = 22;
const side = 48;

const sumOf = (day: Map<string, bigint>): bigint => [...day.values()].reduce((sum, one) => sum + one, 0n);
const rough = (amount: bigint): number => Number(amount) / 1e12;
const axisText = (amount: number): string => (amount === 0 ? '0' : amount >= 10 ? amount.toFixed(0) : amount >= 1 ? amount.toFixed(1) : String(Number(amount.toPrecision(1))));

// 1, 2 or 5 times a power of ten: three to six lines up to the highest bar.
function steps(most: number): number[] {
  if (most <= 0) return [0];
  const raw = most / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw)!;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

// The patterns lie over the colour in the colour of the paper.
const strokes: Record<number, string> = { 2: 'M0 8 8 0M-2 2 2-2M6 10 10 6', 3: 'M0 2H8M0 6H8', 4: 'M0 0 8 8M-2 6 2 10M6-2 10 2', 5: 'M2 0V8M6 0V8', 6: 'M0 4H8M4 0V8', 0: 'M0 0 8 8M0 8 8 0' };
function Patterns({ id }: { id: string }) {
  return (
    <defs>
      {Array.from({ length: looks + 1 }, (_, look) => (
        <pattern key={look} id={`${id}-${look}`} width="8" height="8" patternUnits="userSpaceOnUse">
          <rect width="8" height="8" class={`part-${look}`} />
          {strokes[look] && <path d={strokes[look]} class="part-stroke" />}
        </pattern>
      ))}
    </defs>
  );
}

export function PartMark({ look }: { look: number }) {
  const id = useId();
  return (
    <svg class="part-mark" width="14" height="14" aria-hidden="true">
      <Patterns id={id} />
      <rect width="14" height="14" rx="2" fill={`url(#${id}-${look})`} />
    </svg>
  );
}

export function Stacks({ days, parts, amounts, label, currency }: StacksProps) {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  const [at, setAt] = useState<number | null>(null);
  const [asTable, setAsTable] = useState(false);
  const id = useId();
  useEffect(() => {
    const watch = new ResizeObserver(() => setWidth(Math.max(200, place.current?.clientWidth ?? 600)));
    watch.observe(place.current!);
    return () => watch.disconnect();
  }, []);
  const sums = amounts.map(sumOf);
  const most = sums.reduce((top, one) => (one > top ? one : top), 0n);
  const lines = steps(rough(most));
  const top = Math.max(rough(most), lines.at(-1) ?? 0) || 1;
  const room = width - side;
  const pitch = room / days.length;
  const bar = Math.min(40, Math.max(1, pitch * 0.76));
  const y = (amount: number) => height - foot - (amount / top) * (height - foot - 8);
  const every = Math.max(1, Math.ceil(days.length / Math.max(2, Math.floor(room / 68))));
  const words = (i: number): string => {
    const inside = parts.filter((part) => amounts[i]!.get(part.id)).map((part) => `${part.name} ${moneyText(fromPico(amounts[i]!.get(part.id)!))}`);
    return `${dateWords(days[i]!)}: ${moneyText(fromPico(sums[i]!))} ${currency}${parts.length > 1 && inside.length ? ` (${inside.reverse().join(', ')})` : ''}`;
  };
  const key = (event: KeyboardEvent) => {
    const now = at ?? days.length;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: days.length - 1, PageUp: now - 7, PageDown: now + 7 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    setAt(Math.min(days.length - 1, Math.max(0, to)));
  };
  const under = (event: PointerEvent) => {
    const x = event.clientX - place.current!.getBoundingClientRect().left - side;
    setAt(x < 0 ? null : Math.min(days.length - 1, Math.floor(x / pitch)));
  };
  return (
    <div class="stacks">
      <div
        ref={place}
        class="stacks-picture"
        role="slider"
        tabIndex={0}
        aria-label={`${label}. Arrow keys go from day to day`}
        aria-valuemin={0}
        aria-valuemax={days.length - 1}
        aria-valuenow={at ?? days.length - 1}
        aria-valuetext={words(at ?? days.length - 1)}
        onKeyDown={key}
        onFocus={() => setAt(at ?? days.length - 1)}
        onPointerMove={under}
        onPointerDown={under}
      >
        <svg width={width} height={height} aria-hidden="true">
          <Patterns id={id} />
          {lines.map((line) => (
            <g key={line}>
              <line x1={side} x2={width} y1={y(line)} y2={y(line)} class="stacks-line" />
              <text x={side - 8} y={y(line) + 4} text-anchor="end">
                {axisText(line)}
              </text>
            </g>
          ))}
          {at !== null && <rect x={side + at * pitch} y={0} width={pitch} height={height - foot} class="stacks-at" />}
          {days.map((day, i) => {
            const x = side + i * pitch + (pitch - bar) / 2;
            let below = 0n;
            return (
              <g key={day}>
                {parts.map((part) => {
                  const amount = amounts[i]!.get(part.id);
                  if (!amount) return null;
                  const from = y(rough(below));
                  below += amount;
                  const to = y(rough(below));
                  const gap = from - to > 3 ? 1 : 0;
                  return <rect key={part.id} x={x} width={bar} y={to} height={Math.max(0.5, from - to - gap)} fill={`url(#${id}-${part.look})`} />;
                })}
                {(days.length - 1 - i) % every === 0 && (
                  <text x={Math.min(x + bar / 2, width - 20)} y={height - 4} text-anchor="middle">
                    {dateWords(day)}
                  </text>
                )}
              </g>
            );
          })}
        </svg>
      </div>
      <p class="small stacks-said" aria-hidden="true">
        {at === null ? <span class="muted">Point at a day, or go through them with the arrow keys</span> : <Cut text={words(at)} most={400} />}
      </p>
      <details onToggle={(event) => setAsTable(event.currentTarget.open)}>
        <summary class="small">The picture as a table</summary>
        {asTable && (
          <div class="stacks-table">
            <Table
              caption={`${label}, day by day`}
              flat
              rows={days.map((_, i) => days.length - 1 - i)}
              id={(i) => days[i]!}
              columns={[
                { name: 'Day', cell: (i) => <span class="mono nowrap">{days[i]}</span> },
                ...(parts.length > 1
                  ? [...parts].reverse().map((part) => ({
                      name: part.name,
                      number: true,
                      cell: (i: number) => (amounts[i]!.get(part.id) ? <span class="mono">{moneyText(fromPico(amounts[i]!.get(part.id)!))}</span> : <span class="muted">–</span>),
                    }))
                  : []),
                { name: `All, ${currency}`, number: true, cell: (i) => <span class="mono">{moneyText(fromPico(sums[i]!))}</span> },
              ]}
            />
          </div>
        )}
      </details>
    </div>
  );
}
