// Slider, number, unit, a tick where the default is, and one sentence of effect. Both controls say the same value; the
// number takes what lies between the slider's steps.
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface SliderProps {
  name: string;
  value: number;
  least: number;
  most: number;
  step?: number;
  unit?: string;
  standard?: number; // where the tick is
  effect?: ComponentChildren; // what this value means
  wrong?: string | null;
  disabled?: boolean;
  curved?: boolean; // for wide ranges: the first half of the way has the small values
  off?: string; // what 0 means: "no limit"
  onChange: (value: number) => void; // while it moves
  onSettle?: (value: number) => void; // when it is let go, or the number is left
}

const ways = 1000;

export function Slider({ name, value, least, most, step = 1, unit, standard, effect, wrong, disabled, curved, off, onChange, onSettle }: SliderProps) {
  const id = useId();
  const span = most - least || 1;
  const toWay = (at: number) => {
    const share = Math.min(1, Math.max(0, (at - least) / span));
    return curved ? Math.sqrt(Math.sqrt(share)) * ways : at;
  };
  const fromWay = (way: number) => {
    if (!curved) return way;
    const raw = least + (way / ways) ** 4 * span;
    const round = raw < 20 ? step : raw < 100 ? Math.max(step, 5) : 10 ** Math.floor(Math.log10(raw) - 1);
    return Math.min(most, Math.max(least, Math.round(raw / round) * round));
  };
  const tick = standard === undefined ? null : ((toWay(standard) - (curved ? 0 : least)) / (curved ? ways : span)) * 100;
  const said = (text: string) => {
    const number = Number(text);
    if (text !== '' && Number.isFinite(number)) onChange(number);
  };
  return (
    <div class="slider">
      <label class="name" for={id}>
        {name}
      </label>
      <span class="value">
        {off && value === 0 ? <span class="muted">{off}</span> : null}
        <input
          type="number"
          id={id}
          min={least}
          max={most}
          step={step}
          value={value}
          disabled={disabled}
          aria-invalid={wrong ? 'true' : undefined}
          aria-describedby={`${id}-effect`}
          onInput={(event) => said(event.currentTarget.value)}
          onBlur={() => onSettle?.(value)}
        />
        {unit && <span class="muted">{unit}</span>}
      </span>
      <span class="track">
        <input
          type="range"
          min={curved ? 0 : least}
          max={curved ? ways : most}
          step={curved ? 1 : step}
          value={toWay(value)}
          disabled={disabled}
          aria-label={`${name}, slider`}
          aria-valuetext={`${value} ${unit ?? ''}`.trim()}
          onInput={(event) => onChange(fromWay(Number(event.currentTarget.value)))}
          onChange={() => onSettle?.(value)}
        />
        {tick !== null && <span class="tick" style={{ left: `calc(8px + (100% - 16px) * ${(tick / 100).toFixed(4)} - 1px)` }} title={`Default: ${standard}`} />}
      </span>
      <span class="effect" id={`${id}-effect`}>
        {wrong ? <span class="bad">{wrong}</span> : effect}
      </span>
    </div>
  );
}
