// Exact sums of decimal amounts, in pico-units, for the few that the server does not add up itself.
export function toPico(amount: string | null | undefined): bigint {
  const found = /^(-?)(\d+)(?:\.(\d{1,12})\d*)?$/.exec(amount ?? '');
  if (!found) return 0n;
  const value = BigInt(found[2]! + (found[3] ?? '').padEnd(12, '0'));
  return found[1] ? -value : value;
}
export function fromPico(value: bigint): string {
  const digits = (value < 0n ? -value : value).toString().padStart(13, '0');
  return `${value < 0n ? '-' : ''}${digits.slice(0, -12)}.${digits.slice(-12).replace(/0+$/, '').padEnd(2, '0')}`;
}
export const over = (part: bigint, by: number): string | null => (by > 0 ? fromPico(part / BigInt(by)) : null);
