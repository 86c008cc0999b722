// Bars of days, drawn by uPlot. The sentence above it and the table beside it say the same for those who do not see it.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { theme } from '../../shell/theme';
import { dateWords } from './days';

interface ChartProps {
  days: string[];
  amounts: number[];
  label: string;
  currency: string;
}

// What a token of the palette is now: canvases take no variables.
function colour(at: HTMLElement, token: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${token})`;
  at.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const short = (amount: number): string => (amount === 0 ? '0' : amount >= 100 ? amount.toFixed(0) : amount >= 1 ? amount.toFixed(amount >= 10 ? 0 : 1) : amount.toPrecision(1));

export function Chart({ days, amounts, label, currency }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const said = useRef<HTMLParagraphElement>(null);
  const key = JSON.stringify([days, amounts, currency]);
  useEffect(() => {
    const at = place.current!;
    let plot: uPlot | null = null;
    const draw = () => {
      plot?.destroy();
      const [bar, text, line] = [colour(at, '--accent'), colour(at, '--muted'), colour(at, '--line')];
      const font = `12px ${getComputedStyle(at).fontFamily}`;
      plot = new uPlot(
        {
          width: Math.max(200, at.clientWidth),
          height: 240,
          legend: { show: false },
          cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
          scales: { x: { time: false, range: [-0.6, days.length - 0.4] }, y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] } },
          axes: [
            {
              stroke: text,
              font,
              grid: { show: false },
              ticks: { show: false },
              values: (_u, at) => at.map((n) => (Number.isInteger(n) && days[n] ? dateWords(days[n]) : '')),
              space: 64,
              incrs: [1, 2, 5, 7, 14, 30, 60, 120],
            },
            { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, size: 44, values: (_u, at) => at.map(short), space: 40 },
          ],
          series: [{}, { fill: bar, stroke: bar, width: 0, paths: uPlot.paths.bars!({ size: [0.72, 40] }), points: { show: false } }],
          hooks: {
            setCursor: [
              (u) => {
                const i = u.cursor.idx;
                if (said.current) said.current.textContent = i === null || i === undefined || !days[i] ? '' : `${dateWords(days[i])}: ${amounts[i]! >= 0.01 || !amounts[i] ? amounts[i]!.toFixed(2) : amounts[i]!.toPrecision(2)} ${currency}`;
              },
            ],
          },
        },
        [days.map((_, i) => i), amounts],
        at,
      );
    };
    draw();
    const watch = new ResizeObserver(() => plot?.setSize({ width: Math.max(200, at.clientWidth), height: 240 }));
    watch.observe(at);
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', draw);
    const unwatch = theme.watch(() => requestAnimationFrame(draw));
    return () => {
      watch.disconnect();
      system.removeEventListener('change', draw);
      unwatch();
      plot?.destroy();
    };
  }, [key]);
  return (
    <div class="money-chart">
      <div ref={place} role="img" aria-label={label} />
      <p class="small muted said" ref={said} aria-hidden="true" />
    </div>
  );
}
