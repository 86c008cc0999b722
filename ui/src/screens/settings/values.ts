// Values of settings as people write them: "15m", "4G", "60". The server's reading of them decides; this one serves sliders,
// effects, and words before anything is sent.
import type { Setting } from './types';

const seconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const bytes: Record<string, number> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

// The number that a text stands for; null: none.
export function numberOf(type: Setting['type'], text: string): number | null {
  const found = /^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$/.exec(text);
  if (!found) return null;
  const unit = found[2]!.toLowerCase();
  const by = unit === '' ? 1 : type === 'duration' ? seconds[unit] : type === 'size' ? bytes[unit.replace(/i?b$/, '')] : undefined;
  return by === undefined ? null : Number(found[1]) * by;
}

function inUnits(n: number, units: [string, number][]): string {
  for (const [unit, by] of units) if (n >= by && n % by === 0) return `${n / by}${unit}`;
  return String(n);
}
export function textOf(type: Setting['type'], n: number): string {
  if (n === 0) return '0';
  if (type === 'duration') return inUnits(n, [['d', 86_400], ['h', 3600], ['m', 60], ['s', 1]]);
  if (type === 'size') return inUnits(n, [['T', 1024 ** 4], ['G', 1024 ** 3], ['M', 1024 ** 2], ['k', 1024]]);
  return String(n);
}

const words = (n: number, one: string) => `${n} ${n === 1 ? one : `${one}s`}`;
export function readable(setting: Setting, text: string): string {
  if (text === '') return 'empty';
  if (setting.type === 'bool') return text === 'true' ? 'on' : 'off';
  const n = numberOf(setting.type, text);
  if (n === null) return text;
  if (setting.type === 'duration') {
    for (const [by, one] of [[86_400, 'day'], [3600, 'hour'], [60, 'minute']] as const) if (n >= by && n % by === 0) return words(n / by, one);
    return words(n, 'second');
  }
  if (setting.type === 'size') {
    for (const [by, unit] of [[1024 ** 4, 'TiB'], [1024 ** 3, 'GiB'], [1024 ** 2, 'MiB'], [1024, 'KiB']] as const) if (n >= by) return `${Number((n / by).toFixed(2))} ${unit}`;
    return `${n} bytes`;
  }
  return setting.unit && setting.type === 'number' ? `${text} ${setting.unit}` : text;
}

// "1 to 1000 iterations"; durations and sizes with their own units.
export function rangeWords(setting: Setting): string {
  const [least, most] = [setting.least ?? '', setting.most ?? ''];
  return `${setting.type === 'number' ? least : readable(setting, least)} to ${readable(setting, most)}`;
}

// What is wrong with a value before it is sent; null: nothing that can be seen from here.
export function wrongWith(setting: Setting, text: string): string | null {
  if (!['number', 'duration', 'size'].includes(setting.type)) return null;
  const n = numberOf(setting.type, text);
  const example = { duration: 'such as 90s, 15m, 2h or 7d', size: 'such as 64k, 512M or 4G', number: 'a whole number' }[setting.type as 'number'];
  if (n === null || (setting.type === 'number' && !Number.isInteger(n))) return `It is written ${example}`;
  if (setting.least_number !== null && setting.least_number !== undefined && n < setting.least_number) return `The least is ${readable(setting, setting.least ?? String(setting.least_number))}`;
  if (setting.most_number !== null && setting.most_number !== undefined && n > setting.most_number) return `The most is ${readable(setting, setting.most ?? String(setting.most_number))}`;
  return null;
}

// ---- the slider's way: even for small ranges, by ratio for large ones; 0 ("no limit") has a place of its own at the left
const ways = 1000;
export function wayOf(least: number, most: number, n: number): number {
  if (most - least <= 200) return ((n - least) / (most - least || 1)) * ways;
  const low = Math.max(least, 1);
  if (n < low) return 0;
  const start = least === 0 ? 30 : 0;
  return start + (Math.log(n / low) / Math.log(most / low)) * (ways - start);
}
const nice: Record<string, number[]> = {
  duration: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 259_200, 604_800, 1_209_600, 2_592_000, 7_776_000, 15_552_000, 31_536_000, 94_608_000, 315_360_000],
  size: Array.from({ length: 45 }, (_, i) => 2 ** i),
};
export function fromWay(type: Setting['type'], least: number, most: number, way: number): number {
  if (most - least <= 200) return Math.round(least + (way / ways) * (most - least));
  const start = least === 0 ? 30 : 0;
  if (start && way < start / 2) return 0;
  const low = Math.max(least, 1);
  const raw = low * (most / low) ** (Math.max(0, way - start) / (ways - start));
  const list = nice[type];
  const round = list ? list.reduce((best, one) => (Math.abs(Math.log(one / raw)) < Math.abs(Math.log(best / raw)) ? one : best)) : raw < 20 ? Math.round(raw) : Number(raw.toPrecision(raw < 100 ? 1 : 2));
  return Math.min(most, Math.max(low, round));
}
