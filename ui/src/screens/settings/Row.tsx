// One setting: its control, what the value does, where it comes from. What is changed is applied by its own button, against
// the version that was on the screen; when somebody was faster, both values are shown and nothing is lost.
import { useState } from 'preact/hooks';
import { Problem, del, get, put } from '../../api';
import { Button, Cut, Dialog, Icon, Time, toast } from '../../parts';
import { may } from '../../session';
import { effectOf, type Known } from './effects';
import type { Setting } from './types';
import { fromWay, numberOf, rangeWords, readable, textOf, wayOf, wrongWith } from './values';

const originWords = (one: Setting) => {
  if (one.origin === 'set') return null;
  if (one.origin === 'file') return `file ${one.origin_place}`;
  if (one.origin === 'environment') return `environment ${one.origin_place}`;
  if (one.origin === 'flag') return `option ${one.origin_place}`;
  return 'default';
};

function Origin({ one }: { one: Setting }) {
  return (
    <span class="setting-origin small muted">
      {one.locked && <Icon name="key" />}
      {originWords(one) ?? (
        <>
          set here {one.set_by && `by ${one.set_by} `}
          <Time at={one.set_at} />
        </>
      )}
    </span>
  );
}

// A range beside the text, for what has one. Both say the same value.
function Range({ one, text, off, onInput }: { one: Setting; text: string; off: boolean; onInput: (text: string) => void }) {
  const [least, most] = [one.least_number!, one.most_number!];
  const n = numberOf(one.type, text);
  const tick = one.default_number === null || one.default_number === undefined ? null : wayOf(least, most, one.default_number) / 1000;
  return (
    <span class="track">
      <input
        type="range"
        min={0}
        max={1000}
        value={n === null ? 0 : wayOf(least, most, n)}
        disabled={off}
        aria-label={`${one.name}, slider`}
        aria-valuetext={readable(one, text)}
        onInput={(event) => onInput(textOf(one.type, fromWay(one.type, least, most, Number(event.currentTarget.value))))}
        onKeyDown={(event) => {
          // A key goes to the next value that can be told apart, however small the way.
          const up = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
          if (up === undefined || n === null) return;
          event.preventDefault();
          for (let way = wayOf(least, most, n); way >= 0 && way <= 1000; way += up) {
            const next = fromWay(one.type, least, most, way);
            if (up > 0 ? next > n : next < n) return onInput(textOf(one.type, next));
          }
          onInput(textOf(one.type, up > 0 ? most : least));
        }}
      />
      {tick !== null && <span class="tick" style={{ left: `calc(8px + (100% - 16px) * ${tick.toFixed(4)} - 1px)` }} title={`Default: ${readable(one, one.default)}`} />}
    </span>
  );
}

function Control({ one, id, text, off, wrong, onInput, onApply }: { one: Setting; id: string; text: string; off: boolean; wrong: string | null; onInput: (text: string) => void; onApply: () => void }) {
  const common = { id, disabled: off, 'aria-describedby': `${id}-effect`, 'aria-invalid': wrong ? ('true' as const) : undefined };
  if (one.type === 'bool')
    return (
      <label class="check">
        <input type="checkbox" {...common} checked={text === 'true'} onChange={(event) => onInput(event.currentTarget.checked ? 'true' : 'false')} />
        <span aria-hidden="true">{text === 'true' ? 'on' : 'off'}</span>
      </label>
    );
  if (one.type === 'choice')
    return (
      <select {...common} value={text} onChange={(event) => onInput(event.currentTarget.value)}>
        {one.choices.map((choice) => (
          <option key={choice}>{choice}</option>
        ))}
      </select>
    );
  const short = ['number', 'duration', 'size', 'money'].includes(one.type);
  return (
    <span class="setting-value">
      <input
        {...common}
        class={short ? 'short' : 'long'}
        type={(one.type === 'secret' ? 'password' : 'text') as 'text'}
        autocomplete="off"
        spellcheck={false}
        inputMode={one.type === 'number' ? 'numeric' : one.type === 'money' ? 'decimal' : undefined}
        value={text}
        placeholder={one.type === 'secret' && one.is_set ? 'kept; a new one replaces it' : one.default === '' ? 'empty' : ''}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') onApply();
        }}
      />
      {one.unit && <span class="muted">{one.unit}</span>}
    </span>
  );
}

interface Conflict {
  mine: string | null; // null: the default
  theirs: Setting;
  words: string;
}

export function Row({ one, known, onChanged }: { one: Setting; known: Known; onChanged: (changed: Setting) => void }) {
  const [draft, setDraft] = useState<{ text: string; version: number } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const id = `setting-${one.name}`;
  const text = draft?.text ?? one.value ?? '';
  const changed = !!draft && draft.text !== (one.value ?? '');
  const wrong = changed ? wrongWith(one, text) : null;
  const off = one.locked || !may('admin');
  const ranged = ['number', 'duration', 'size'].includes(one.type) && typeof one.least_number === 'number' && typeof one.most_number === 'number';
  const input = (next: string) => {
    setProblem(null);
    setDraft({ text: next, version: draft?.version ?? one.version });
  };
  const send = async (value: string | null, version: number | null) => {
    setProblem(null);
    const ifMatch = version === null ? undefined : `"${version}"`;
    try {
      const path = `settings/${one.name}`;
      const now = value === null ? await del<Setting>(path, { ifMatch }) : await put<Setting>(path, { value }, { ifMatch });
      const before = one.origin === 'set' ? one.value : null;
      setDraft(null);
      setConflict(null);
      onChanged(now);
      toast(`${one.name} is ${now.secret ? 'set' : readable(now, now.value ?? '')}${now.pending ? ' after the next start of the daemon' : ''}`, {
        ...(one.secret ? {} : { action: { words: 'Undo', do: async () => onChanged(before === null ? await del<Setting>(path, { ifMatch: `"${now.version}"` }) : await put<Setting>(path, { value: before }, { ifMatch: `"${now.version}"` })) } }),
      });
    } catch (error) {
      const said = error as Problem;
      if (said.status === 412) setConflict({ mine: value, theirs: await get<Setting>(`settings/${one.name}`), words: said.words });
      else setProblem(said);
    }
  };
  const apply = async () => {
    if (changed && !wrong) await send(text, draft.version);
  };
  const [group, ...rest] = one.name.split('.');
  return (
    <div class={`setting ${changed ? 'changed' : ''}`} data-setting={one.name}>
      <div class="setting-head">
        <label for={id} class="mono">
          <span class="muted">{group}.</span>
          <b>{rest.join('.')}</b>
        </label>
        <Origin one={one} />
      </div>
      <p class="setting-help">
        {one.help}
        {one.least !== null && one.most !== null && (
          <span class="muted nowrap small">
            {' '}
            {rangeWords(one)}
          </span>
        )}
      </p>
      <div class={ranged ? 'setting-control ranged' : 'setting-control'}>
        {ranged && <Range one={one} text={text} off={off} onInput={input} />}
        <Control one={one} id={id} text={text} off={off} wrong={wrong} onInput={input} onApply={apply} />
      </div>
      <p class="setting-effect small" id={`${id}-effect`}>
        {wrong || problem ? (
          <span class="bad">{wrong ?? problem!.words}</span>
        ) : one.locked ? (
          <span class="muted">
            Locked: <Cut text={one.locked_reason ?? ''} />
            {one.set_value !== null && `. Here ${one.secret ? 'another one' : readable(one, one.set_value)} is set, which does not hold`}
          </span>
        ) : (
          <span class="muted">{effectOf(one, text, known)}</span>
        )}
        {one.pending && (
          <span class="you">
            {' '}
            Now {one.running === null ? 'another value' : readable(one, one.running)} is at work; this one holds after the next start of the daemon.
          </span>
        )}
      </p>
      {(changed || (one.origin === 'set' && !off)) && (
        <div class="line">
          {changed && (
            <>
              <Button small kind="primary" why={wrong} onClick={apply} label={`Apply ${one.name}`}>
                Apply
              </Button>
              <Button small kind="quiet" onClick={() => setDraft(null)} label={`Leave ${one.name} as it is`}>
                Leave it
              </Button>
            </>
          )}
          {!changed && (
            <Button small kind="quiet" icon="undo" onClick={() => send(null, one.version)} label={`${one.name} back to its default`}>
              Back to {one.secret ? 'none' : readable(one, one.default)}
            </Button>
          )}
        </div>
      )}
      <Dialog open={!!conflict} title="Somebody else has changed it" onClose={() => setConflict(null)}>
        {conflict && (
          <div class="body">
            <p>
              <Cut text={conflict.words} />
            </p>
            <dl class="pair">
              <dt>Now</dt>
              <dd>
                <b>{one.secret ? '(secret)' : readable(conflict.theirs, conflict.theirs.value ?? '')}</b> {conflict.theirs.set_by && `by ${conflict.theirs.set_by}`} <Time at={conflict.theirs.set_at} />
              </dd>
              <dt>Yours</dt>
              <dd>
                <b>{one.secret ? '(secret)' : conflict.mine === null ? `the default, ${readable(one, one.default)}` : readable(one, conflict.mine)}</b>
              </dd>
            </dl>
            <div class="actions">
              <Button
                onClick={() => {
                  onChanged(conflict.theirs);
                  setDraft(null);
                  setConflict(null);
                }}
              >
                Keep theirs
              </Button>
              <Button kind="primary" onClick={() => send(conflict.mine, conflict.theirs.version)}>
                Set mine
              </Button>
            </div>
          </div>
        )}
      </Dialog>
    </div>
  );
}
