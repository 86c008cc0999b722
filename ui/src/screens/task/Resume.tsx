// The choices when a task rests: go on with more room, a hint, another model, or stop. Raising a limit says the new total.
import { useState } from 'preact/hooks';
import { post } from '../../api';
import { Button, Dialog, Field, Slider, moneyRough, moneyText, toast } from '../../parts';
import type { TaskShown } from '../../types';
import { askHint } from './hint';

export function Resume({ task, onDone }: { task: TaskShown; onDone: () => void }) {
  const [open, setOpen] = useState(false);
  const used = task.iteration;
  const [iterations, setIterations] = useState(Math.max(task.iteration_limit, used + 5));
  const [money, setMoney] = useState(task.limits.money ?? '');
  const [model, setModel] = useState('');
  const limitReached = task.reason.startsWith('limit_');
  const protectedFiles = task.reason === 'protected_changed';
  const spent = moneyText(task.spent.total);
  const resume = async (body: Record<string, unknown>) => {
    await post(`tasks/${task.id}/resume`, body);
    setOpen(false);
    toast('It goes on');
    onDone();
  };
  return (
    <div class="line task-resume">
      <Button small kind={limitReached ? undefined : 'primary'} onClick={() => resume({})}>
        {limitReached ? 'Try again as it is' : 'Go on'}
      </Button>
      <Button small kind={limitReached ? 'primary' : undefined} onClick={() => setOpen(true)}>
        {limitReached ? 'Raise the limit' : 'Go on otherwise'}
      </Button>
      {!protectedFiles && (
        <Button small onClick={() => askHint('')}>
          Give a hint
        </Button>
      )}
      <Button
        small
        onClick={async () => {
          await post(`tasks/${task.id}/stop`);
          onDone();
        }}
      >
        Stop it
      </Button>
      <Dialog open={open} title="Go on with" onClose={() => setOpen(false)}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const body: Record<string, unknown> = {};
            if (iterations !== task.iteration_limit) body['iterations'] = iterations;
            if (money !== task.limits.money && money) body['money'] = money;
            if (model) body['model'] = model;
            resume(body).catch((error: { words?: string }) => toast(error.words ?? String(error), { kind: 'bad' }));
          }}
        >
          <Slider name="Iterations in all" unit="iterations" value={iterations} least={Math.max(1, used)} most={200} curved standard={task.iteration_limit} onChange={setIterations} effect={`${used} are used; ${Math.max(0, iterations - used)} more are granted.`} />
          <Field name="Money in all" help={`${spent} ${task.spent.currency} is spent${moneyRough(task.limits.money) > 0 ? ` of ${moneyText(task.limits.money ?? '')}` : '; there is no limit'}.`}>
            {(id) => <input {...id} inputMode="decimal" value={money} onInput={(event) => setMoney(event.currentTarget.value)} />}
          </Field>
          <Field name="Another model" optional help="Left empty, the same goes on.">
            {(id) => <input {...id} value={model} onInput={(event) => setModel(event.currentTarget.value)} />}
          </Field>
          <div class="actions">
            <Button kind="quiet" onClick={() => setOpen(false)}>
              Cancel
            </Button>
            <Button kind="primary" type="submit">
              Go on
            </Button>
          </div>
        </form>
      </Dialog>
    </div>
  );
}
