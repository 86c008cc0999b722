// The work screens against the real server: list and board, a task with all its tabs, what needs a person.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { everyWay, missing, open, tool, turn } from './harness.mjs';

// What acts in pages, terminals and readers' eyes: markup, a title, a link and a clipboard by escapes, a turned reading direction.
const hostile = 'x \u202Egnp.exe\u202C <img src=x onerror="window.owned=1"><script>window.owned=1</script><style>main{display:none}</style><a href="javascript:window.owned=1">l</a> \u0007\u001b[31mred\u001b[0m \u001b]0;owned\u0007 \u001b]8;;https://evil.example/\u001b\\link\u001b]8;;\u001b\\ \u001b]52;c;b3duZWQ=\u0007 end';
// Written by a command and by a check, with what JSON cannot carry: NUL, half a character, a line of 10 MB.
const shout = `import sys\nsys.stdout.buffer.write(${JSON.stringify(hostile)}.encode() + b"\\nnul:\\x00:nul\\nhalf:\\xc3\\n")\n`;
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
          turn(`I say ${hostile}`, tool('write', { path: 'out.py', content: `${shout}for i in range(3000):\n    print("line", i, "\\x1b[3%dmcolour\\x1b[0m" % (i % 8))\nprint("y" * 10000000)\nprint("last line")\n` }), run('python3 out.py')),
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
    hostileTask = (await t.do('task', { text: `hostile ${hostile.replaceAll(/[\u0000-\u001f]/g, ' ')}`, repo: 'other', files: { 'calc.py': `"""Sums."""\n\n\n${calc}`, 'test_calc.py': 'import unittest\n\nimport calc\n\n\nclass T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(calc.add(2, 3), 5)\n', 'shout.py': shout }, checks: ['python3 -m unittest', 'python3 shout.py'] })).task;
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
      undefined,
      { keyboard: true },
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

  test('hostile output is text, wherever it is shown', async () => {
    const page = await t.page();
    page.on('dialog', () => assert.fail('a script ran'));
    const panel = page.getByRole('tabpanel');
    // mark: how the turned direction is shown, where what is there has one.
    const harmless = async (where, mark = true) => {
      assert.equal(await page.evaluate(() => window.owned), undefined, `${where}: a script ran`);
      const made = await page.locator('main').locator('img, style, script, a').evaluateAll((all) => all.filter((one) => !one.href || new URL(one.href).host !== location.host).map((one) => one.outerHTML));
      assert.deepEqual(made, [], where);
      assert.match(await page.title(), /Nightmill/);
      const words = await page.locator('main').innerText();
      assert.doesNotMatch(words, /[\u202a-\u202e\u2066-\u2069\u0000\u0007\u001b]/, `${where}: a control character is there as itself`);
      const body = (await panel.count()) ? await panel.innerText() : words; // the title above has it everywhere
      if (mark) assert.match(body, /RLO|u\{202e\}|\ufffd/, `${where}: the reading direction is turned unseen`);
      assert.deepEqual(page.wrong, [], where); // with violations of the policy
    };
    const look = async (where, path, ready, mark) => {
      await page.goto(path);
      await ready.waitFor();
      await harmless(where, mark);
    };
    await look('story', `/tasks/${hostileTask}?tab=story`, panel.locator('blockquote', { hasText: 'I say' }));
    await look('changes', `/tasks/${hostileTask}?tab=changes`, panel.getByText('gnp.exe').first());
    await look('checks', `/tasks/${hostileTask}?tab=checks`, panel.locator('.checks-run').first(), false);
    for (const one of await panel.locator('.checks-run > summary').all()) if (!(await one.evaluate((element) => element.parentElement.open))) await one.click();
    await panel.locator('.checks-tail', { hasText: 'nul:' }).first().waitFor();
    await harmless('output of a check');
    await look('cost', `/tasks/${hostileTask}?tab=cost`, panel.getByText('scripted').first(), false);
    await look('files', `/tasks/${hostileTask}?tab=files`, panel.getByRole('link', { name: 'evil <b>.txt' }), false);
    await panel.getByRole('link', { name: 'evil <b>.txt' }).click();
    await panel.locator('.lines-row', { hasText: 'gnp.exe' }).waitFor();
    await harmless('a file');
    await look('raw', `/tasks/${hostileTask}?tab=raw`, panel.getByText('task.created'));
    await look('replay', `/tasks/${hostileTask}?tab=replay`, panel.getByText('task.created'));
    await panel.getByText(/as it is written$/).click();
    await harmless('an event');
    await look('tasks', '/tasks', page.getByRole('link', { name: /^hostile x/ }));
    await page.getByRole('button', { name: 'Board' }).click();
    await page.getByRole('region', { name: 'Ended' }).getByRole('link', { name: /^hostile x/ }).waitFor();
    await harmless('board');
    await page.getByRole('button', { name: 'List' }).click();
    await look('an approval', '/needs-you', page.getByText('The plan waits'));
    await look('a task that waits', `/tasks/${asking}?tab=story`, page.getByRole('button', { name: 'Approve' }), false);
    await page.goto(`/tasks/${hostileTask}?tab=log`);
    const find = page.getByRole('searchbox', { name: 'Find in the whole log' });
    await find.fill('nul:');
    await page.locator('mark', { hasText: 'nul:' }).first().waitFor(); // in a step that is folded
    await harmless('log');
    await find.fill('last line');
    await page.getByText(/^1 of \d+$/).waitFor();
    await page.locator('mark', { hasText: 'last line' }).first().waitFor();
    await find.fill('yyyyyyyy');
    await page.getByText(/^1 of 1$/).waitFor();
    await page.getByText(/of this line are not kept/).waitFor();
    await harmless('a line of 10 MB', false);
    await find.fill('line 1234');
    await page.locator('mark', { hasText: 'line 1234' }).first().waitFor();
    await harmless('log', false);
    await page.context().close();
  });

  test('replay: a range by keyboard, played, kept in the address and by the other tabs', async () => {
    const page = await t.page();
    await page.goto(`/tasks/${done}?tab=replay`);
    const slider = page.getByRole('slider', { name: 'Event', exact: true });
    await slider.focus();
    const at = (n) => page.waitForURL((url) => url.searchParams.get('at') === String(n));
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await at(3);
    await page.keyboard.press('Shift+ArrowRight'); // the next iteration
    const { body } = await t.do('api', { method: 'GET', path: `/api/v1/tasks/${done}/iterations` });
    const [one, two] = body.iterations;
    await at(one.first_event);
    await page.keyboard.press('Shift+ArrowRight');
    await at(two.first_event);
    await page.keyboard.press('[');
    for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowRight');
    await page.keyboard.press(']');
    const from = two.first_event;
    const to = from + 4;
    await page.waitForURL((url) => url.searchParams.get('from') === String(from) && url.searchParams.get('to') === String(to));
    assert.equal(await page.getByRole('slider', { name: 'Range from event' }).inputValue(), String(from));
    // Played at its fastest, it ends where the range does.
    for (let i = 0; i < 5; i++) await page.keyboard.press('+');
    assert.equal(await page.getByRole('combobox', { name: 'Speed' }).inputValue(), '64');
    await page.keyboard.press(' ');
    await page.getByRole('button', { name: 'Play' }).waitFor();
    await at(to);
    // A link brings all of it back.
    await page.goto(page.url());
    await page.getByText(`Events ${from} to ${to}`).waitFor();
    assert.equal(await slider.inputValue(), String(to));
    const tab = (name) => page.getByRole('tab', { name }).click();
    await tab('Raw');
    await page.locator('.raw-events li').first().waitFor();
    assert.deepEqual((await page.locator('.raw-events .lines-number').allInnerTexts()).map(Number), Array.from({ length: 5 }, (_, i) => from + i));
    await tab('Log');
    await page.getByText(/^\d+ lines?$/).first().waitFor();
    const { body: log } = await t.do('api', { method: 'GET', path: `/api/v1/tasks/${done}/log?count=1` });
    await page.locator('[data-line]').first().waitFor();
    assert.ok(Number(await page.locator('[data-line]').first().getAttribute('data-line')) >= two.log_line - 1);
    assert.ok(log.total > (await page.locator('[data-line]').count()));
    await tab('Checks');
    await page.getByText(/^As of event/).waitFor();
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.waitForURL((url) => !url.searchParams.has('from'));
    await tab('Replay');
    await page.getByText('All events.').waitFor();
    // The handles by themselves.
    await page.getByRole('slider', { name: 'Range to event' }).focus();
    await page.keyboard.press('ArrowLeft');
    await page.waitForURL((url) => url.searchParams.has('to'));
    await page.keyboard.press('Escape');
    await page.waitForURL((url) => !url.searchParams.has('to'));
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  });

  test('what is begun in one tab is there in the other', async () => {
    const one = await t.page();
    const two = await one.context().newPage();
    for (const page of [one, two]) {
      await page.goto(`/tasks/${asking}?tab=story`);
      await page.getByRole('button', { name: 'Hint', exact: true }).click();
    }
    const words = (page) => page.getByRole('textbox', { name: 'Words' });
    await words(one).fill('try it with');
    await two.waitForFunction(() => document.querySelector('dialog[open] textarea')?.value === 'try it with');
    await words(two).press('End');
    await words(two).pressSequentially(' tabs');
    await one.waitForFunction(() => document.querySelector('dialog[open] textarea')?.value === 'try it with tabs');
    await one.reload();
    await one.getByRole('button', { name: 'Hint', exact: true }).click();
    assert.equal(await words(one).inputValue(), 'try it with tabs');
    await words(one).fill('');
    for (const page of [one, two]) await page.goto('/new');
    await one.getByLabel('What should change').fill('Add a function halve');
    await two.waitForFunction(() => [...document.querySelectorAll('textarea')].some((field) => field.value === 'Add a function halve'));
    await two.getByLabel('What should change').fill('');
    await one.waitForFunction(() => ![...document.querySelectorAll('textarea')].some((field) => field.value.includes('halve')));
    assert.deepEqual(one.wrong, []);
    await one.context().close();
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
    const before = (await t.do('api', { method: 'GET', path: `/api/v1/tasks/${task}` })).body.last_event;
    await t.do('kill', { role: 'server' });
    await page.getByText(/reconnecting|connecting/).first().waitFor({ timeout: 10_000 });
    await t.do('gate', { name: 'go' });
    await t.do('wait', { task, states: ['done'] });
    await page.locator('.state[data-state=done]').first().waitFor({ timeout: 20_000 });
    const { body } = await t.do('api', { method: 'GET', path: `/api/v1/tasks/${task}` });
    await page.waitForFunction((last) => Number(document.querySelector('.raw-events li:last-child .lines-number')?.textContent) >= last, body.last_event);
    // Each once, in order, without a gap; and no line of the log twice.
    const numbers = (await page.locator('.raw-events li .lines-number').allInnerTexts()).map(Number);
    assert.deepEqual(numbers, Array.from({ length: body.last_event }, (_, i) => i + 1));
    assert.ok(body.last_event > before + 5, 'something happened meanwhile');
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  });

  test('ten thousand tasks: list and board', async () => {
    const { url } = await t.do('many', { count: 10_000 });
    const page = await t.page({ at: url });
    await page.goto('/tasks');
    const link = (k) => page.getByRole('link', { name: new RegExp(`^Task ${k} of many`) });
    await link(10_000).waitFor();
    await page.getByRole('link', { name: /^All 100\d\d$/ }).waitFor();
    const rows = () => page.locator('tbody tr').count();
    assert.ok(Number(await page.getByRole('table').getAttribute('aria-rowcount')) > 10_000);
    // As one scrolls, older ones come; what is far out of sight leaves the document and keeps its place.
    let most = 0;
    let last = 10_000;
    for (let i = 0; i < 500 && last > 9400; i++) {
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      await page.evaluate(() => new Promise((next) => requestAnimationFrame(() => setTimeout(next))));
      most = Math.max(most, await rows());
      last = await page.evaluate(() => Number(/^Task (\d+)/.exec([...document.querySelectorAll('.tasks-title')].at(-1)?.textContent ?? '')?.[1] ?? 10_000));
    }
    assert.ok(last <= 9400, `the last one is ${last}`);
    assert.ok(most <= 350, `${most} rows`);
    assert.equal(await link(10_000).count(), 0);
    await page.evaluate(() => scrollTo(0, 0));
    await link(10_000).waitFor();
    // From row to row, and into one.
    await link(10_000).focus();
    for (let i = 0; i < 60; i++) await page.keyboard.press('ArrowDown');
    await page.waitForFunction(() => document.activeElement?.textContent?.startsWith('Task 9940 of many'));
    await page.keyboard.press('ArrowUp');
    await page.waitForFunction(() => document.activeElement?.textContent?.startsWith('Task 9941 of many'));
    await page.keyboard.press('Enter');
    await page.waitForURL(/tasks\/[0-9a-z]{7}/);
    await page.getByRole('heading', { name: /^Task 9941 of many/ }).waitFor();
    await page.goBack();
    // Filters are the server's: what is far down is found at once, and counted.
    await page.getByRole('searchbox').fill('Task 17 of many');
    await link(17).waitFor();
    assert.equal(await rows(), 1);
    await page.getByRole('searchbox').fill('');
    await page.getByRole('link', { name: /^Failed 100$/ }).click();
    await link(9951).waitFor();
    assert.ok((await rows()) <= 100);
    await page.goto('/tasks');
    await page.getByRole('button', { name: 'Board' }).click();
    const ended = page.getByRole('region', { name: 'Ended' });
    await ended.getByRole('link', { name: /^Task 10000 of many/ }).waitFor();
    await ended.getByText(/^100\d\d$/).waitFor();
    assert.ok((await page.locator('.tasks-card').count()) < 150);
    await ended.getByRole('link', { name: 'All of them' }).click();
    await link(10_000).waitFor();
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  });
});
