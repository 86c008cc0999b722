// Tiers: a name for a chain of models that are tried in order.
import { useState } from 'preact/hooks';
import { put } from '../../api';
import { useData } from '../../live';
import { Button, Cut, Dialog, Empty, Field, Icon, Table, toast } from '../../parts';
import { may } from '../../session';
import { Loaded } from '../list';
import type { Tier } from './types';

const parsed = (text: string) => text.split(/[\s,]+/).filter(Boolean);

function TierDialog({ tier, onClose, onDone }: { tier: Tier | null; onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState(tier?.name ?? '');
  const [mode, setMode] = useState(tier?.mode ?? 'normal');
  const [models, setModels] = useState(tier?.models.join('\n') ?? '');
  const save = async () => {
    await put('tiers', { name, mode, models: parsed(models) });
    toast(`${name} is set`);
    onDone();
  };
  return (
    <Dialog open title={tier ? `Tier ${tier.name}` : 'Add a tier'} onClose={onClose}>
      <div class="body">
        {!tier && (
          <Field name="Name" help="As it is asked for, such as fast or tier-a.">
            {(at) => <input {...at} value={name} spellcheck={false} maxLength={200} onInput={(event) => setName(event.currentTarget.value.trim())} />}
          </Field>
        )}
        <Field name="For" help="Thinking: what is asked with thinking switched on.">
          {(at) => (
            <select {...at} value={mode} disabled={!!tier} onChange={(event) => setMode(event.currentTarget.value)}>
              <option value="normal">normal requests</option>
              <option value="thinking">thinking</option>
            </select>
          )}
        </Field>
        <Field name="Models" help="One a line; the first that answers is taken.">
          {(at) => <textarea {...at} class="mono" rows={4} value={models} spellcheck={false} onInput={(event) => setModels(event.currentTarget.value)} />}
        </Field>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" why={!name ? 'Say its name' : parsed(models).length === 0 ? 'Name at least one model' : null} onClick={save}>
            Set it
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

export function Tiers() {
  const data = useData<{ tiers: Tier[] }>('tiers', { topics: ['models', 'settings'] });
  const [open, setOpen] = useState<{ tier: Tier | null } | null>(null);
  const changes = may('admin');
  const remove = async (tier: Tier) => {
    await put('tiers', { name: tier.name, mode: tier.mode, models: [] });
    data.reload();
    toast(`${tier.name} is removed`, {
      action: {
        words: 'Undo',
        do: async () => {
          await put('tiers', { name: tier.name, mode: tier.mode, models: tier.models });
          data.reload();
        },
      },
    });
  };
  const add = changes && (
    <Button kind="primary" icon="plus" onClick={() => setOpen({ tier: null })}>
      Add a tier
    </Button>
  );
  return (
    <Loaded of={data} what="tiers">
      {({ tiers }) => (
        <div class="section">
          {tiers.length === 0 ? (
            <Empty title="No tier is set" action={add || undefined} command="nightmill tier set fast MODEL MODEL">
              A tier is one name for several models: the first is asked, and when it does not answer the next one.
            </Empty>
          ) : (
            <>
              <div class="head">
                <h2>
                  {tiers.length} {tiers.length === 1 ? 'tier' : 'tiers'}
                </h2>
                {add}
              </div>
              <Table
                caption="Tiers"
                rows={tiers}
                id={(one) => `${one.name} ${one.mode}`}
                columns={[
                  {
                    name: 'Tier',
                    cell: (one) => (
                      <span>
                        <b>
                          <Cut text={one.name} most={120} />
                        </b> {one.mode !== 'normal' && <span class="muted">{one.mode}</span>}
                      </span>
                    ),
                    label: false,
                  },
                  {
                    name: 'Models, in order',
                    wide: true,
                    cell: (one) => (
                      <ol class="models-chain">
                        {one.models.map((model) => (
                          <li key={model}>{model}</li>
                        ))}
                      </ol>
                    ),
                  },
                  { name: 'Set by', cell: (one) => <span class="muted">{one.origin === 'row' ? 'here' : one.origin}</span> },
                  {
                    name: 'Do',
                    label: false,
                    cell: (one) =>
                      changes && one.origin === 'row' ? (
                        <span class="line models-do">
                          <Button small kind="quiet" onClick={() => setOpen({ tier: one })} label={`Change ${one.name}`}>
                            Change
                          </Button>
                          <Button small kind="quiet" onClick={() => remove(one)} label={`Remove ${one.name}`}>
                            <Icon name="cross" />
                          </Button>
                        </span>
                      ) : null,
                  },
                ]}
              />
            </>
          )}
          {open && <TierDialog tier={open.tier} onClose={() => setOpen(null)} onDone={() => (setOpen(null), data.reload())} />}
        </div>
      )}
    </Loaded>
  );
}
