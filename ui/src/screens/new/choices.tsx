// What a task can be done by, and what that may cost: the agents that are here, tiers and models, prices, budgets.
import { useData } from '../../live';
import { Used, moneyRough, moneySum, moneyText } from '../../parts';
import type { Schemas } from '../../types';

type Spec = Schemas['TaskSpec'];
type Record_ = Schemas['AgentRecord'];

export interface Choices {
  agents: Schemas['AvailableAgent'][];
  named: string[];
  models: Schemas['Model'][];
  tiers: Schemas['Tier'][];
  budgets: Schemas['Budget'][];
  records: Record_[];
}

export function useChoices(repo: string): Choices {
  const agents = useData<Schemas['AvailableAgents']>('agents/available');
  const named = useData<Schemas['AgentConfigurations']>('agents');
  const models = useData<Schemas['Models']>('models', { topics: ['settings'] });
  const tiers = useData<Schemas['Tiers']>('tiers', { topics: ['settings'] });
  const budgets = useData<Schemas['Budgets']>('budgets', { topics: ['money'] });
  const record = useData<Schemas['AgentRecords']>('agents/record', { query: { by: 'agent' } });
  const fits = (one: Schemas['AgentConfiguration']) => !one.retired && (!one.project || one.project === repo);
  return {
    agents: agents.data?.agents ?? [],
    named: [...new Set((named.data?.agents ?? []).filter(fits).map((one) => one.name))],
    models: models.data?.models ?? [],
    tiers: tiers.data?.tiers ?? [],
    budgets: budgets.data?.budgets ?? [],
    records: record.data?.records ?? [],
  };
}

// "Codex: 12 of 14 done" where it has worked here before.
function withRecord(title: string, name: string, records: Record_[]): string {
  const found = records.find((one) => one.agent === name);
  return found?.ended ? `${title}: ${found.done} of ${found.ended} done here` : title;
}

export function AgentChoice({ id, value, choices, onChoose }: { id: object; value: string; choices: Choices; onChoose: (agent: string) => void }) {
  const here = choices.agents.filter((one) => one.here);
  const away = choices.agents.filter((one) => !one.here);
  const known = value === '' || value === 'builtin' || choices.named.includes(value) || choices.agents.some((one) => one.name === value);
  return (
    <select {...id} value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
      <option value="">As the settings and the project say</option>
      <option value="builtin">{withRecord('Nightmill, built in', 'nightmill', choices.records)}</option>
      {!known && <option value={value}>{value}</option>}
      {choices.named.length > 0 && (
        <optgroup label="Named agents">
          {choices.named.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </optgroup>
      )}
      {here.length > 0 && (
        <optgroup label="Here">
          {here.map((one) => (
            <option key={one.name} value={one.name}>
              {withRecord(one.version ? `${one.title} ${one.version}` : one.title, one.name, choices.records)}
            </option>
          ))}
        </optgroup>
      )}
      {away.length > 0 && (
        <optgroup label="Not here (nightmill agent install NAME)">
          {away.map((one) => (
            <option key={one.name} value={one.name} disabled>
              {one.title}
            </option>
          ))}
        </optgroup>
      )}
    </select>
  );
}

// Names that may be typed too: a model without a row is found by the beginning of its name.
export function ModelChoices({ id, choices }: { id: string; choices: Choices }) {
  const models = new Map(choices.models.map((one) => [one.id, one]));
  return (
    <datalist id={id}>
      {[...new Map(choices.tiers.map((one) => [one.name, one])).values()].map((tier) => (
        <option key={`tier ${tier.name}`} value={tier.name} label={`Tier: ${tier.models.join(', ')}`} />
      ))}
      {[...models.values()].map((model) => (
        <option key={model.id} value={model.id} label={model.price ? `${moneyText(model.price.input)} in, ${moneyText(model.price.output)} out ${model.price.currency}` : 'price unknown'} />
      ))}
    </datalist>
  );
}

function priceOf(plan: Spec, choices: Choices): { price: Schemas['Price'] | null; model: string } {
  const name = plan.model.name;
  const first = choices.tiers.find((one) => one.name === name)?.models[0] ?? name;
  return { price: choices.models.find((one) => one.id === first)?.price ?? null, model: first };
}

const windowWords: Record<string, string> = { total: 'in all', day: 'today', week: 'this week', two_weeks: 'in these two weeks', month: 'this month' };
const dayOf = (time: string) => time.slice(0, 10);

// The price of the model that is asked first, and what that makes of a limit of tokens.
export function Price({ plan, choices }: { plan: Spec; choices: Choices }) {
  const { price: listed, model } = priceOf(plan, choices);
  // A model of an address in the settings has no row among the models, and may have a price.
  const found = useData<Schemas['Prices']>('prices', { query: { model, in_force: 1 }, off: !!listed || !model });
  const price = listed ?? found.data?.prices.find((one) => one.model === model) ?? null;
  if (!price) return <span class="muted">The price of <bdi>{model || 'the model'}</bdi> is not known here: its cost will be shown as unknown.</span>;
  const dearest = Math.max(moneyRough(price.input), moneyRough(price.output), moneyRough(price.cache_write), moneyRough(price.cache_write_1h));
  const most = plan.limits.tokens > 0 ? (plan.limits.tokens / 1e6) * dearest : null;
  return (
    <span>
      <bdi>{model}</bdi> costs <span class="mono">{moneyText(price.input)}</span> in and <span class="mono">{moneyText(price.output)}</span> out, {price.currency} for a million tokens{' '}
      <span class="muted">
        (<bdi>{price.source}</bdi>, {dayOf(price.from)})
      </span>
      .{most !== null && ` Its limit of ${plan.limits.tokens.toLocaleString('en')} tokens is at most ${moneyText(most.toFixed(2))} ${price.currency}.`}
    </span>
  );
}

// Budgets that hold for this task too, with what is left of them.
export function BudgetsOver({ plan, choices }: { plan: Spec; choices: Choices }) {
  const over = choices.budgets.filter((one) => one.money !== null && (one.scope === 'all' || (one.scope === 'project' && one.scope_id === plan.repo) || (one.scope === 'agent' && one.scope_id === (plan.agent?.name ?? 'nightmill')) || (one.scope === 'model' && one.scope_id === plan.model.name)));
  return (
    <>
      {over.map((one) => (
        <span key={one.id}>
          {one.scope === 'all' ? 'Everything' : one.scope === 'project' ? 'The project' : one.scope === 'agent' ? 'The agent' : 'The model'} {windowWords[one.window] ?? one.window}:{' '}
          <Used used={moneySum(one.spent ?? '0', one.held ?? '0')} limit={one.money} currency={one.currency ?? ''} />
        </span>
      ))}
    </>
  );
}
