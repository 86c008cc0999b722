// Small parts: an empty place, a banner, a field, tabs, a switch, something to copy, words of others.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Problem } from '../api';
import { Button } from './Button';
import { Icon, type IconName } from './Icon';
import { toast } from './Toast';

export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https there is no clipboard: the old way.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  toast('Copied');
}
// Hands text to the browser as a file to be kept.
export function saveFile(name: string, type: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
export const Copy = ({ text, what }: { text: string; what?: string }) => (
  <Button kind="quiet" small icon="copy" label={`Copy ${what ?? text}`} onClick={() => copyText(text)} />
);
export const Command = ({ line }: { line: string }) => (
  <span class="command">
    <code>{line}</code>
    <Copy text={line} what="this command" />
  </span>
);

// Says what will appear here, why there is nothing yet, and what can be done: one action and one command line.
export function Empty({ title, children, action, command }: { title: string; children?: ComponentChildren; action?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children && <p class="muted">{children}</p>}
      {action}
      {command && (
        <div class="line">
          <span class="small muted">On the command line:</span> <Command line={command} />
        </div>
      )}
    </div>
  );
}

export function Banner({ kind, icon, children, actions, role }: { kind?: 'you' | 'bad' | 'good'; icon?: IconName; children: ComponentChildren; actions?: ComponentChildren; role?: 'status' | 'alert' }) {
  return (
    <div class={`banner ${kind ?? ''}`} role={role}>
      {icon && <Icon name={icon} />}
      <div class="grow">{children}</div>
      {actions && <div class="line">{actions}</div>}
    </div>
  );
}

// What went wrong with a fetch: the sentence, the next step, and trying again.
export function Wrong({ error, retry }: { error: Problem; retry?: () => void }) {
  return (
    <Banner kind={error.status === 0 ? undefined : 'bad'} icon="warning" role="status" actions={retry && <Button small onClick={retry}>Try again</Button>}>
      <Cut text={error.words} />
      {error.detail && (
        <div class="small muted">
          <Cut text={error.detail} />
        </div>
      )}
    </Banner>
  );
}

export function Field({ name, help, wrong, children, optional }: { name: string; help?: ComponentChildren; wrong?: string | null | undefined; optional?: boolean; children: (id: { id: string; 'aria-describedby': string; 'aria-invalid': 'true' | undefined }) => ComponentChildren }) {
  const id = useId();
  return (
    <div class="field">
      <label class="name" for={id}>
        {name}
        {optional && <span class="muted small"> optional</span>}
      </label>
      {children({ id, 'aria-describedby': `${id}-help`, 'aria-invalid': wrong ? 'true' : undefined })}
      <span class="help" id={`${id}-help`}>
        {wrong ? <span class="wrong">{wrong}</span> : help}
      </span>
    </div>
  );
}

export interface Tab {
  id: string;
  title: string;
  icon?: IconName;
  count?: ComponentChildren;
}
// Arrow keys go from tab to tab. The panel belongs to the caller: role="tabpanel", id="panel-ID", aria-labelledby="tab-ID".
export function Tabs({ tabs, now, onChoose, label }: { tabs: Tab[]; now: string; onChoose: (id: string) => void; label: string }) {
  const list = useRef<HTMLDivElement>(null);
  // On a phone the row of tabs scrolls: the chosen one is in it.
  useEffect(() => list.current?.querySelector(`#tab-${now}`)?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [now]);
  const key = (event: KeyboardEvent) => {
    const at = tabs.findIndex((tab) => tab.id === now);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length]!;
    onChoose(next.id);
    list.current?.querySelector<HTMLElement>(`#tab-${next.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={key}>
      {tabs.map((tab) => (
        <button key={tab.id} type="button" role="tab" id={`tab-${tab.id}`} aria-selected={tab.id === now} aria-controls={`panel-${tab.id}`} tabIndex={tab.id === now ? 0 : -1} onClick={() => onChoose(tab.id)}>
          {tab.title}
          {tab.count !== undefined && <span class="small muted mono">{tab.count}</span>}
        </button>
      ))}
    </div>
  );
}

// One of a few, all visible.
export function Switch({ choices, now, onChoose, label }: { choices: { id: string; title: string; icon?: IconName }[]; now: string; onChoose: (id: string) => void; label: string }) {
  return (
    <div class="switch" role="group" aria-label={label}>
      {choices.map((choice) => (
        <button key={choice.id} type="button" aria-pressed={choice.id === now} onClick={() => onChoose(choice.id)}>
          {choice.icon && <Icon name={choice.icon} />}
          {choice.title}
        </button>
      ))}
    </div>
  );
}

// Words of agents, repositories and programs. They are text, never markup; what would act on a terminal or turn the
// reading direction around is shown as a mark instead.
const hiddenOnes = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const hiddenOne = new RegExp(hiddenOnes.source);
const names: Record<string, string> = { '\u001b': 'ESC', '\u0000': 'NUL', '\u200e': 'LRM', '\u200f': 'RLM', '\u202a': 'LRE', '\u202b': 'RLE', '\u202c': 'PDF', '\u202d': 'LRO', '\u202e': 'RLO', '\u2066': 'LRI', '\u2067': 'RLI', '\u2068': 'FSI', '\u2069': 'PDI', '\u200b': 'ZWSP', '\ufeff': 'BOM' };
export const hasHidden = (text: string): boolean => hiddenOne.test(text);
export const hiddenName = (one: string): string => names[one] ?? `U+${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
export function marked(text: string): ComponentChildren {
  if (!hiddenOne.test(text)) return text;
  const parts: ComponentChildren[] = [];
  let at = 0;
  for (const found of text.matchAll(hiddenOnes)) {
    if (found.index > at) parts.push(text.slice(at, found.index));
    parts.push(<span class="cut-mark">{hiddenName(found[0])}</span>);
    at = found.index + 1;
  }
  parts.push(text.slice(at));
  return parts;
}
// most: characters that are shown; how many are left out is said.
export function Cut({ text, most = 4000 }: { text: string; most?: number }) {
  const shown = text.length > most ? text.slice(0, most) : text;
  return (
    <bdi>
      {marked(shown)}
      {text.length > most && <span class="cut-mark">{(text.length - most).toLocaleString('en')} more characters are not shown</span>}
    </bdi>
  );
}

// Nothing for the first second, then a sentence: no spinner.
export const Waiting = ({ what }: { what: string }) => <p class="waiting muted">Fetching {what} …</p>;
