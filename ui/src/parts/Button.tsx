// A button that knows that its work takes a while, and says why when it cannot be pressed.
import type { ComponentChildren, TargetedMouseEvent } from 'preact';
import { useState } from 'preact/hooks';
import { Problem } from '../api';
import { Icon, type IconName } from './Icon';
import { toast } from './Toast';

interface ButtonProps {
  children?: ComponentChildren;
  icon?: IconName;
  kind?: 'primary' | 'danger' | 'quiet';
  small?: boolean;
  type?: 'button' | 'submit';
  label?: string; // for screen readers, when there are no words
  why?: string | false | null; // the reason that it cannot be pressed now
  onClick?: (event: TargetedMouseEvent<HTMLButtonElement>) => unknown; // a promise: busy until it is kept; a Problem is shown
  class?: string;
  id?: string;
  keys?: string; // aria-keyshortcuts
  pressed?: boolean;
}

export function Button({ children, icon, kind, small, type = 'button', label, why, onClick, class: more, id, keys, pressed }: ButtonProps) {
  const [busy, setBusy] = useState(false);
  const click = async (event: TargetedMouseEvent<HTMLButtonElement>) => {
    if (why || busy) {
      event.preventDefault();
      if (why) toast(why);
      return;
    }
    const work = onClick?.(event);
    if (!(work instanceof Promise)) return;
    setBusy(true);
    try {
      await work;
    } catch (error) {
      toast(error instanceof Problem ? error.words : String(error), { kind: 'bad' });
    } finally {
      setBusy(false);
    }
  };
  const names = ['button', kind, small && 'small', more].filter(Boolean).join(' ');
  return (
    <button
      type={type}
      id={id}
      class={names}
      aria-disabled={why ? 'true' : undefined}
      aria-busy={busy ? 'true' : undefined}
      aria-label={label}
      aria-pressed={pressed}
      aria-keyshortcuts={keys}
      title={why || (label && !children ? label : undefined)}
      onClick={click}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}
