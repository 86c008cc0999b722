// Times and lengths of time. The exact time is in the title; one clock moves them all.
import { cell, useCell } from '../cell';

export const clock = cell(Date.now());
setInterval(() => {
  if (!document.hidden) clock.set(Date.now());
}, 5_000);
document.addEventListener('visibilitychange', () => clock.set(Date.now()));

export function durationText(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return '';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(s % 60) ? `${Math.floor(s % 60)} s` : ''}`.trim();
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60 ? `${minutes % 60} min` : ''}`.trim();
  return `${Math.floor(hours / 24)} days`;
}

export function agoText(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return 'now';
  if (s < 60) return `${Math.floor(s / 10) * 10} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

// Made when it is needed first: it takes long, and the first screen may need none.
const formatter = (options: Intl.DateTimeFormatOptions) => {
  let made: Intl.DateTimeFormat | null = null;
  return { format: (time: Date | number): string => (made ??= new Intl.DateTimeFormat(undefined, options)).format(time) };
};
const exact = formatter({ dateStyle: 'medium', timeStyle: 'medium' });
const short = formatter({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const day = formatter({ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
export const exactTime = (time: string): string => `${exact.format(new Date(time))} (${time})`;
export const clockTime = (time: string): string => short.format(new Date(time));

// how: "ago" (3 min ago), "age" (3 min), "exact" (a date), "clock" (12:03:11)
export function Time({ at, how = 'ago' }: { at: string | null | undefined; how?: 'ago' | 'age' | 'exact' | 'clock' }) {
  const now = useCell(clock);
  if (!at) return null;
  const ms = Date.parse(at);
  if (Number.isNaN(ms)) return <span>{at}</span>;
  const age = agoText(now - ms);
  const text = how === 'exact' ? day.format(ms) : how === 'clock' ? short.format(ms) : how === 'age' || age === 'now' ? age : `${age} ago`;
  return (
    <time dateTime={at} title={exactTime(at)}>
      {text}
    </time>
  );
}

export function Duration({ ms }: { ms: number | null | undefined }) {
  if (ms === null || ms === undefined) return null;
  return <span class="mono">{durationText(ms)}</span>;
}
