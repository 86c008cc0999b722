// From an empty folder to a proven task, without any key: the link, the owner, the sample, its verdict with the proof, the bill.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { missing, open, sound } from './harness.mjs';

describe('first run', { skip: missing }, () => {
  let t;
  before(async () => {
    t = await open('empty', { owner: false });
  });
  after(() => t?.close());

  test('from the setup link to a proven sample task', async () => {
    const page = await t.page();
    const link = /\/setup#\S+/.exec((await t.do('command', { arguments: ['setup-link'] })).out)[0];
    await page.goto(link);
    await page.getByLabel('Your name').fill('ada');
    await page.getByLabel('Password', { exact: true }).fill('correct horse battery');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Which model does the work?' }).waitFor();
    await page.getByRole('button', { name: 'Watch the sample first' }).click();
    await page.waitForURL('**/first');
    const step = page.getByRole('listitem', { name: /^See it work/ });
    // Red, then green: both are seen, with their reasons.
    await step.getByText(/^Iteration 1:.*Red/).waitFor();
    await step.getByText(/^Iteration 2:.*Proven/).waitFor();
    await step.getByText('2 new tests: red at base, green now').waitFor();
    await step.getByText('goes red when a test that must fail is added').waitFor();
    await step.getByText('0.00').first().waitFor();
    await page.getByRole('listitem', { name: 'See it work, done' }).waitFor();
    await sound(page, 'first-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 320, height: 640 });
    await sound(page, 'first-dark-320');
    // What is next: a model, and a task of one's own.
    await page.getByRole('heading', { name: 'Connect a model' }).waitFor();
    await page.getByLabel('Provider').waitFor();
    assert.equal(await page.getByRole('link', { name: 'New task' }).last().getAttribute('href'), '/new');
    // The server says the same as the page.
    const { tasks } = (await t.do('api', { method: 'GET', path: '/api/v1/tasks' })).body;
    assert.deepEqual(tasks.map((one) => [one.state, one.iteration]), [['done', 2]]);
    // The proof and the bill are where every task has them.
    await page.setViewportSize({ width: 1280, height: 800 });
    await step.getByRole('link', { name: 'See the proof' }).click();
    await page.getByRole('tabpanel').getByText(/red at base, green now/).first().waitFor();
    await page.goto(`/tasks/${tasks[0].id}?tab=cost`);
    await page.getByRole('tabpanel').getByText('sample').first().waitFor();
    assert.deepEqual(page.wrong, []);
    // Where something was asked for, the tasks are the home.
    await page.goto('/');
    await page.waitForURL('**/tasks');
  });
});
