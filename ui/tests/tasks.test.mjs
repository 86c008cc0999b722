// The work screens against the real server: list and board, a task with all its tabs, what needs a person.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { everyWay, missing, open, tool, turn } from './harness.mjs';

const hostile = 'x <img src=x onerror=alert(1)><script>document.title="owned"</script> \u202Egnp.exe\u202C \u0007\u001b[31mred\u001b[0m \u001b]0;title\u0007 end';
const calc = 'def add(a, b):\n    return a + b\n';
const newTest = 'import unittest\n\nimport calc\n\n\nclass TestDouble(unittest.TestCase):\n    def test_double(self):\n        self.assertEqual(calc.double(4), 8)\n';
const edit = (old, next) => tool('edit', { path: 'calc.py', old, new: next });
const run = (command) => tool('run', { command });
const finish = (summary) => tool('finish', { summary });

const plan = {
  conversations: [
    { match: ['waits for a gate'], iterations: [[{ text: 'I wait.', tools: [run('ls')], wait_for: 'go' }, turn('Now.', edit(calc, `${calc}\n\ndef double(a):\n    return a + a\n`), tool('write', { path: 'test_double.py', content: newTest })), turn('', finish('Added it.'))]] },
    { match: ['asks before'], plan: turn(`1. Add the function.\n2. Test it.\n${hostile}`), iterations: [[turn('', edit(calc, `${calc}\n\ndef double(a):\n    return a + a\n`), tool('write', { path: 'test_double.py', content: newTest })), turn('', finish('Added it.'))]] },
    {
      match: ['hostile'],
      iterations: [
        [
          turn(`I say ${hostile}`, tool('write', { path: 'out.py', content: `import sys\nsys.stdout.write(${JSON.stringify(hostile)} + "\\n")\nsys.stdout.write("nul:\\x00:nul\\n")\nfor i in range(3000):\n    print("line", i, "\\x1b[3%dmcolour\\x1b[0m" % (i % 8))\nprint("y" * 10000000)\nprint("last line")\n` }), run('python3 out.py')),
          turn('', edit(calc, `${calc}\n\ndef double(a):\n    return a + a\n`), tool('write', { path: 'test_double.py', content: newTest }), tool('write', { path: 'evil <b>.txt', content: hostile })),
          turn('', finish(`All done ${hostile}`)),
        ],
      ],
    },
    {
      match: [],
      iterations: [
        [turn('I add it with a test.', run('ls'), edit(calc, `${calc}\n\ndef double(a):\n    return a + a + 1\n`), tool('write', { path: 'test_double.py', content: newTest })), turn('', finish('Added double.'))],
        [turn('One too many.', edit('a + a + 1', 'a + a')), turn('', finish('Mended double.'))],
      ],
    },
  ],
};

describe('work screens', { skip: missing }, () => {
  let t;
  let done;
  let hostileTask;
  let asking;
  before(async () => {
    t = await open(plan);
    done = (await t.do('task', { text: 'Add a function double to calc.py', checks: ['python3 -m unittest'], arguments: ['--budget', '2.00'] })).task;
    await t.do('wait', { task: done, states: ['done'] });
    hostileTask = (await t.do('task', { text: `hostile ${hostile.replaceAll(/[\u0000-\u001f]/g, ' ')}`, repo: 'other', files: { 'calc.py': `"""Sums."""\n\n\n${calc}`, 'test_calc.py': 'import unittest\n\nimport calc\n\n\nclass T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(calc.add(2, 3), 5)\n' }, checks: ['python3 -m unittest'] })).task;
    await t.do('wait', { task: hostileTask, states: ['done', 'unproven'] });
    asking = (await t.do('task', { text: 'Add double, but it asks before', checks: ['python3 -m unittest'], arguments: ['--approve', 'plan'] })).task;
    await t.do('wait', { task: asking, states: ['needs_you'] });
  });
  after(() => t?.close());

  const tab = (id, ready, path = done) => ({ name: `task-${id}`, path: `/tasks/${path}?tab=${id}`, ready: (page) => page.getByRole('tabpanel').getByText(ready).first().waitFor() });
  test('every screen is sound', (context) =>
    everyWay(
      t,
      [
        { name: 'tasks', path: '/tasks', ready: (page) => page.getByRole('link', { name: /Add a function double/ }).waitFor() },
        {
          name: 'board',
          path: '/tasks',
          ready: async (page) => {
            await page.getByRole('button', { name: 'Board' }).click();
            await page.getByRole('region', { name: 'Ended' }).getByText('Add a function double').waitFor();
          },
        },
        tab('story', /Iteration 2/),
        { name: 'task-log', path: `/tasks/${done}?tab=log`, ready: (page) => page.locator('.lines-row').first().waitFor() },
        tab('changes', /calc\.py/),
        tab('checks', /python3 -m unittest/),
        tab('cost', /Cost by model|scripted/),
        tab('replay', /task\.created/),
        tab('files', /test_calc\.py/),
        tab('raw', /task\.created/),
        { name: 'inbox', path: '/needs-you', ready: (page) => page.getByText('The plan waits').waitFor() },
        {
          name: 'new',
          path: '/new',
          ready: async (page) => {
            await page.getByLabel('Repository').fill(`${t.folder}/calc`);
            await page.getByLabel('What should change').fill('Add a function triple to calc.py, with a test.');
            const plan = page.getByRole('complementary', { name: 'Plan' });
            await plan.getByText('make test').waitFor();
            // Who can do it, and what it may cost.
            await page.getByLabel('Agent').selectOption('builtin');
            await plan.getByText(/scripted costs 3\.00 in and 15\.00 out, USD for a million tokens/).waitFor();
            assert.match((await page.getByLabel('Agent').locator('option').allTextContents()).join('; '), /Nightmill, built in: 2 of 2 done here.*Codex/);
          },
        },
        { name: 'nowhere', path: '/no/such/page', ready: (page) => page.getByText('There is no such page').waitFor() },
      ].filter((screen) => !process.env.NIGHTMILL_SCREENS || new RegExp(process.env.NIGHTMILL_SCREENS).test(screen.name)),
      context,
    ));

  test('a task is asked for by keyboard alone, and proven', async () => {
    const page = await t.page();
    await page.goto('/tasks');
    await page.getByRole('button', { name: 'Go to or do' }).waitFor();
    await page.getByRole('link', { name: /Add a function double/ }).waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Go to or do' }).fill('new task');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/new');
    await page.getByLabel('Repository').focus();
    await page.keyboard.type(`${t.folder}/calc`);
    await page.keyboard.press('Tab');
    await page.keyboard.type('Add double to calc.py, from the page');
    await page.keyboard.press('Tab');
    await page.keyboard.type('python3 -m unittest');
    const start = page.getByRole('button', { name: /^Start/ });
    await page.getByRole('complementary', { name: 'Plan' }).getByText('python3 -m unittest').waitFor();
    await page.reload(); // the draft survives
    await page.getByRole('complementary', { name: 'Plan' }).getByText('python3 -m unittest').waitFor();
    for (let i = 0; i < 40 && !(await start.evaluate((element) => element === document.activeElement)); i++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForURL(/tasks\/[a-z0-9]{7}/);
    await page.locator('main .state[data-state=done]').waitFor({ timeout: 40_000 });
    assert.deepEqual(page.wrong, []);
  });

  test('an iteration scopes the tabs, by keyboard alone', async () => {
    const page = await t.page();
    await page.goto(`/tasks/${done}?tab=changes`);
    await page.getByRole('tabpanel').getByText('calc.py').first().waitFor();
    await page.getByRole('button', { name: /^1 / }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/iteration=1/);
    await page.getByRole('tabpanel').getByText('a + a + 1').waitFor();
    await page.getByRole('tab', { name: 'Changes' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.waitForURL(/tab=checks/);
    await page.getByRole('tabpanel').getByText(/failed/).first().waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill('needs');
    await page.keyboard.press('Enter');
    await page.waitForURL(/needs-you/);
    assert.deepEqual(page.wrong, []);
  });

  test('hostile output is text', async () => {
    const page = await t.page();
    page.on('dialog', () => assert.fail('a script ran'));
    for (const tab of ['story', 'log', 'changes', 'checks', 'files', 'raw', 'replay']) {
      await page.goto(`/tasks/${hostileTask}?tab=${tab}`);
      await page.getByRole('tabpanel').locator('*').first().waitFor();
      await page.waitForTimeout(300);
      assert.equal(await page.locator('img').count(), 0, tab);
      assert.equal(await page.evaluate(() => document.querySelectorAll('main script').length), 0, tab);
      assert.doesNotMatch(await page.title(), /owned/);
      assert.doesNotMatch(await page.locator('main').innerText(), /[\u202a-\u202e\u2066-\u2069\u0000\u0007\u001b]/, `${tab}: a control character is there as itself`);
    }
    await page.goto(`/tasks/${hostileTask}?tab=log`);
    const find = page.getByRole('searchbox', { name: 'Find in the whole log' });
    await find.fill('RLO');
    await find.fill('last line');
    await page.getByText(/^1 of \d+$/).waitFor();
    await page.locator('mark').first().waitFor();
    await find.fill('line 1234');
    await page.locator('mark', { hasText: 'line 1234' }).first().waitFor();
    assert.deepEqual(page.wrong, []);
  });

  test('a second browser answers first', async () => {
    const one = await t.page();
    const two = await t.page();
    await one.goto('/needs-you');
    await one.getByText('The plan waits').waitFor();
    await two.goto(`/tasks/${asking}`);
    await two.getByRole('button', { name: 'Approve' }).waitFor();
    await one.route('**/api/v1/approvals?**', (route) => route.abort()); // this one does not hear of it in time
    await one.route('**/api/v1/tasks?**', (route) => route.abort());
    await two.getByRole('button', { name: 'Approve' }).click();
    await two.getByRole('button', { name: 'Approve' }).waitFor({ state: 'detached' });
    await one.keyboard.press('j');
    await one.keyboard.press('d');
    await one.getByRole('textbox', { name: 'Why' }).fill('not like this');
    await one.getByRole('button', { name: 'Refuse' }).click();
    await one.getByText(/has already approved this/).waitFor();
    await one.getByText('not like this').waitFor();
    await t.do('wait', { task: asking, states: ['done', 'unproven'] });
  });

  test('the server is killed and comes back: nothing is lost or doubled', async () => {
    const { task } = await t.do('task', { text: 'Add double, which waits for a gate', checks: ['python3 -m unittest'] });
    const page = await t.page();
    await page.goto(`/tasks/${task}?tab=raw`);
    await page.getByRole('tabpanel').getByText('task.created').waitFor();
    await t.do('wait', { task, states: ['working'] });
    await t.do('kill', { role: 'server' });
    await page.getByText(/reconnecting|connecting/).first().waitFor({ timeout: 10_000 });
    await t.do('gate', { name: 'go' });
    await t.do('wait', { task, states: ['done'] });
    await page.locator('.state[data-state=done]').first().waitFor({ timeout: 20_000 });
    const { body } = await t.do('api', { method: 'GET', path: `/api/v1/tasks/${task}` });
    await page.waitForFunction((last) => document.querySelectorAll('.raw-events li').length >= last, Math.min(body.last_event, 200));
    const numbers = await page.locator('.raw-events li .lines-number').allInnerTexts();
    assert.deepEqual(numbers.map(Number), [...new Set(numbers.map(Number))].sort((a, b) => a - b));
    assert.equal(Number(numbers.at(-1)), body.last_event);
    assert.deepEqual(page.wrong, []);
  });
});
