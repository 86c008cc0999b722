// Money is a decimal string with a currency and stays one: no floating point decides what is shown. An unknown price is
// called unknown, never 0.

// "0.04213" -> "0.0421", "12.3" -> "12.30", "0" -> "0.00"; what is not a decimal stays as it is.
export function moneyText(amount: string): string {
  const parts = /^(-?)(\d+)(?:\.(\d+))?$/.exec(amount);
  if (!parts) return amount;
  const [, minus, whole, fraction = ''] = parts as unknown as [string, string, string, string | undefined];
  const grouped = whole!.replace(/\B(?=(\d{3})+(?!\d))/g, ' ');
  if (whole !== '0' || /^0*$/.test(fraction!)) return `${minus}${grouped}.${(fraction! + '00').slice(0, 2)}`;
  const zeros = /^0*/.exec(fraction!)![0].length;
  const kept = fraction!.slice(0, Math.max(2, zeros + 2));
  return `${minus}0.${kept.padEnd(2, '0')}`;
}

// Two decimals, added exactly: as whole numbers of the smaller unit.
export function moneySum(a: string, b: string): string {
  const places = Math.max(a.split('.')[1]?.length ?? 0, b.split('.')[1]?.length ?? 0);
  const whole = (text: string) => BigInt((text.split('.')[0] || '0') + (text.split('.')[1] ?? '').padEnd(places, '0'));
  const sum = whole(a) + whole(b);
  if (!places) return String(sum);
  const digits = String(sum).padStart(places + 1, '0');
  return `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

// A number for comparing and for the length of bars; never for showing or adding up.
export const moneyRough = (amount: string | null | undefined): number => (amount ? Number(amount) : 0);

export function Money({ amount, currency }: { amount: string | null | undefined; currency?: string | undefined }) {
  if (amount === null || amount === undefined || amount === '')
    return (
      <span class="muted" title="No price is known for the model">
        unknown
      </span>
    );
  return (
    <span class="mono" title={`${amount} ${currency ?? ''}`.trim()}>
      {moneyText(amount)}
      {currency ? <span class="muted"> {currency}</span> : null}
    </span>
  );
}

// Always as used / limit; the bar is decoration, the words say it.
export function Used({ used, limit, currency, share }: { used: string; limit: string | null | undefined; currency?: string; share?: number }) {
  const part = share ?? (limit && moneyRough(limit) > 0 ? moneyRough(used) / moneyRough(limit) : null);
  const tone = part === null ? '' : part >= 1 ? 'over' : part >= 0.8 ? 'near' : '';
  return (
    <span class={`used ${tone}`}>
      <span class="mono">
        {moneyText(used)} <span class="muted">/ {limit && moneyRough(limit) > 0 ? moneyText(limit) : 'no limit'}</span>
        {currency ? <span class="muted"> {currency}</span> : null}
      </span>
      {part !== null && (
        <span class="bar" aria-hidden="true">
          <span style={{ width: `${Math.min(100, part * 100).toFixed(1)}%` }} />
        </span>
      )}
    </span>
  );
}
