// The log viewer with a million lines, and what it does with escapes: the lines are given by the test in the server's place, everything else is real.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { missing, open, sound, tool, turn } from './harness.mjs';

const plan = { conversations: [{ match: [], iterations: [[turn('', tool('write', { path: 'file.txt', content: 'one\ntwo\n' })), turn('', tool('finish', { summary: 'Added.' }))]] }] };
const total = 1_000_000;
const escape = '\u001b';
const text = (n) => (n === 500_500 ? `needle ${escape}[31;1mred${escape}[0m ${escape}]0;owned\u0007 \u202Ebidi \u0000 <b>bold</b>` : `line ${n} ${escape}[${30 + (n % 8)}mcolour${escape}[0m and so on`);

describe('the log viewer', { skip: missing }, () => {
  let t;
  let task;
  before(async () => {
    t = await open(plan);
    task = (await t.do('task', { text: 'Add a line with the word two to file.txt', repo: 'plain', checks: ['sh check.sh'] })).task;
    await t.do('wait', { task, states: ['done', 'unproven'] });
  });
  after(() => t?.close());

  async function million(page) {
    const asked = [];
    await page.route(`**/api/v1/tasks/${task}/log?**`, (route) => {
      const query = new URL(route.request().url()).searchParams;
      const count = Number(query.get('count'));
      const from = Number(query.get('from')) < 0 ? total + 1 + Number(query.get('from')) : Number(query.get('from'));
      asked.push(count);
      const lines = Array.from({ length: Math.max(0, Math.min(count, total - from + 1)) }, (_, i) => ({ n: from + i, text: text(from + i), iteration: 1, kind: 'tool', ...(from + i === 700_000 ? { cut: 123_456 } : {}) }));
      return route.fulfill({ json: { total, from, complete: true, iteration_range: null, lines, sections: [] } });
    });
    await page.route(`**/api/v1/tasks/${task}/log/search?**`, (route) => route.fulfill({ json: { total: 1, lines_total: total, matches: [{ line: 500_500, column: 1, text: text(500_500) }], next: null } }));
    return asked;
  }

  test('a million lines: the end, the beginning, a line by its number, a search; few rows in the document', async () => {
    const page = await t.page();
    const asked = await million(page);
    await page.goto(`/tasks/${task}?tab=log`);
    await page.locator('[data-line="1000000"]').waitFor();
    await page.getByText('1 000 000 lines').waitFor();
    assert.ok((await page.locator('.lines-row').count()) < 200);
    await page.getByRole('button', { name: 'Earlier part' }).click();
    await page.locator('[data-line="500000"]').waitFor();
    await page.goto(`/tasks/${task}?tab=log&line=123456`);
    await page.locator('[data-line="123456"]', { hasText: 'line 123456' }).waitFor();
    const search = page.getByRole('searchbox', { name: 'Find in the whole log' });
    await page.keyboard.press('Control+f');
    assert.ok(await search.evaluate((element) => element === document.activeElement), 'Ctrl+F opens our search');
    await search.fill('needle');
    const line = page.locator('[data-line="500500"]');
    await line.waitFor();
    await page.locator('mark', { hasText: 'needle' }).waitFor();
    await search.fill('');
    await line.locator('.sgr-1', { hasText: 'red' }).waitFor();
    const words = await line.innerText();
    assert.match(words, /ESC.*\]0;owned/);
    assert.match(words, /RLO/);
    assert.match(words, /NUL/);
    assert.match(words, /<b>bold<\/b>/);
    assert.doesNotMatch(await page.title(), /owned/);
    await page.goto(`/tasks/${task}?tab=log&line=700000`);
    await page.getByText('123 kB of this line are not kept').waitFor();
    assert.ok(Math.max(...asked) <= 500, 'the log is fetched in windows');
    await sound(page, 'log-million');
  });

  test('scrolling up ends following, and what is new is counted', async () => {
    const page = await t.page();
    await million(page);
    await page.goto(`/tasks/${task}?tab=log`);
    await page.locator('[data-line="1000000"]').waitFor();
    const area = page.getByRole('region', { name: /^Log of/ });
    await area.evaluate((element) => element.scrollBy(0, -4000));
    await page.getByRole('button', { name: 'To the end' }).click();
    await page.locator('[data-line="1000000"]').waitFor();
    // A frame may not take long: a page of a million lines scrolls by replacing some rows.
    const rows = await area.evaluate(async (element) => {
      let most = 0;
      for (let i = 0; i < 60; i++) {
        element.scrollTop -= 3000;
        await new Promise((next) => requestAnimationFrame(next));
        most = Math.max(most, element.querySelectorAll('.lines-row').length);
      }
      return most;
    });
    assert.ok(rows < 200, `${rows} rows`);
    assert.deepEqual(page.wrong, []);
  });

  test('long lines can be wrapped', async () => {
    const page = await t.page({ width: 320, height: 640 });
    await million(page);
    await page.goto(`/tasks/${task}?tab=log&line=500500`);
    await page.locator('[data-line="500500"]').waitFor();
    await page.getByRole('button', { name: 'Wrap' }).click();
    await page.getByRole('button', { name: /^Lines after/ }).waitFor();
    await sound(page, 'log-wrapped-320');
    await page.getByRole('button', { name: 'Wrap' }).click();
  });
});
