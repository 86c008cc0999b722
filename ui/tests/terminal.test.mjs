// The terminal of a task in the page: a command typed and answered, a second viewer, a reload, a killed server, a viewer who only looks on, and that nothing
// that a program prints acts on the page.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { everyWay, missing, open, tool, turn } from './harness.mjs';

const plan = {
  conversations: [{ match: [], iterations: [[turn('I add it.', tool('run', { command: "printf '\\033[32mgreen\\033[0m\\n'" }), tool('write', { path: 'file.txt', content: 'one\ntwo\n' })), turn('', tool('finish', { summary: 'Added.' }))]] }],
};

describe('the terminal of a task', { skip: missing }, () => {
  let t;
  let task;
  before(async () => {
    t = await open(plan);
    ({ task } = await t.do('task', { text: 'Add a line with the word two to file.txt', repo: 'plain', checks: ['sh check.sh'] }));
    await t.do('wait', { task, states: ['done'] });
  });
  after(() => t?.close());

  const frame = (page) => page.frameLocator('iframe.terminal-frame');
  const rows = (page) => frame(page).locator('.xterm-rows');
  const shows = (page, text) => rows(page).getByText(text).first().waitFor({ timeout: 30_000 });
  const opened = async (more) => {
    const page = await t.page(more);
    await page.goto(`/tasks/${task}?tab=terminal`);
    await frame(page).getByText('Shift+Tab leaves the terminal').waitFor({ timeout: 30_000 });
    return page;
  };
  const type = async (page, text) => {
    await frame(page).locator('.xterm-helper-textarea').focus();
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
  };

  test('a command is typed and answered; others see it; a reload and a killed server lose nothing', async () => {
    const page = await opened();
    await shows(page, 'agent');
    await type(page, "echo an''swer $((6 * 7))");
    await shows(page, 'answer 42');
    const second = await opened();
    await shows(second, 'answer 42');
    await frame(second).getByText('Also here: ada').waitFor();
    await type(second, "echo from the sec''ond");
    await shows(page, 'from the second');
    await page.reload();
    await shows(page, 'answer 42');
    const noticed = frame(page).getByText('Reconnecting…').waitFor();
    await t.do('kill', { role: 'server' });
    await noticed; // what is typed before goes nowhere
    await frame(page).getByText('Shift+Tab leaves the terminal').waitFor({ timeout: 30_000 });
    await shows(page, 'answer 42');
    await type(page, "echo st''ill there");
    await shows(page, 'still there');
    await shows(second, 'still there');
    // What acts is neither shown nor done.
    const title = await page.title();
    await type(page, "printf '\\033]0;owned\\007\\033]52;c;c2VjcmV0\\007\\033]8;;http://evil.example/\\033\\\\li''nk\\033]8;;\\033\\\\\\n'");
    await shows(page, /^link/);
    assert.equal(await page.title(), title);
    assert.equal(await frame(page).locator('a[href*=evil]').count(), 0);
    // By keyboard alone: Tab stays with the shell, Shift and Tab leaves it.
    await frame(page).locator('.xterm-helper-textarea').focus();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'IFRAME');
    await page.keyboard.press('Shift+Tab');
    assert.notEqual(await page.evaluate(() => document.activeElement?.tagName), 'IFRAME');
    // Only to look.
    await page.getByLabel('Show').selectOption('watch');
    await frame(page).getByText('You look on').waitFor();
    await shows(page, 'still there');
    await type(page, 'echo by-the-watcher');
    await type(second, "echo last wo''rd; exit");
    await frame(page).getByText('The shell has ended').waitFor();
    await shows(page, 'last word');
    assert.equal(await rows(page).getByText('by-the-watcher').count(), 0);
    assert.deepEqual([...page.wrong, ...second.wrong], []);
  });

  test('what the agent printed is shown', async () => {
    const page = await t.page();
    await page.goto(`/tasks/${task}?tab=terminal`);
    await page.getByLabel('Show').selectOption('agent');
    await frame(page).getByText('as it comes').waitFor();
    await shows(page, 'iteration 1');
    await shows(page, 'green');
    assert.deepEqual(page.wrong, []);
  });

  test('it is sound in every way', (context) =>
    everyWay(t, [{ name: 'task-terminal', path: `/tasks/${task}?tab=terminal`, ready: (page) => frame(page).getByText(/Shift\+Tab leaves|Nobody else/).first().waitFor() }], context));
});
