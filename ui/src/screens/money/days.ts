// Days and months of the zone that the server reports in. The server's own sums decide; this only finds where a month began.

// "2026-11-21" of a moment in a zone. A zone that this browser does not know is treated as UTC.
export function dateIn(zone: string, ms: number): string {
  const parts = { year: 'numeric', month: '2-digit', day: '2-digit' } as const;
  try {
    return new Intl.DateTimeFormat('en-CA', { ...parts, timeZone: zone }).format(ms);
  } catch {
    return new Date(ms).toISOString().slice(0, 10);
  }
}

// The moment, in seconds, at which a date begins in a zone: looked for in the 28 hours around midnight UTC.
export function startOf(zone: string, date: string): number {
  const middle = Date.parse(`${date}T00:00:00Z`);
  let low = middle - 14 * 3_600_000;
  let high = middle + 14 * 3_600_000;
  while (high - low > 1000) {
    const at = low + Math.floor((high - low) / 2000) * 1000;
    if (dateIn(zone, at) >= date) high = at;
    else low = at;
  }
  return Math.round(high / 1000);
}

export const monthStart = (zone: string, now: number): number => startOf(zone, `${dateIn(zone, now).slice(0, 7)}-01`);
export function nextMonthStart(zone: string, now: number): number {
  const [year, month] = dateIn(zone, now).split('-').map(Number) as [number, number];
  return startOf(zone, `${month === 12 ? year + 1 : year}-${String((month % 12) + 1).padStart(2, '0')}-01`);
}
// The date so many days before today in the zone; 0: today.
export function daysBack(zone: string, now: number, days: number): string {
  const today = Date.parse(`${dateIn(zone, now)}T12:00:00Z`);
  return new Date(today - days * 86_400_000).toISOString().slice(0, 10);
}
export const dateWords = (date: string): string =>
  new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' }).format(Date.parse(`${date}T00:00:00Z`));
