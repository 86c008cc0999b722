// The log viewer on a real log of more than a million lines, written by a command in a sandbox: folding, windows, search,
// download, and what it does with bytes that would act elsewhere.
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { missing, open, sound, tool, turn } from './harness.mjs';

const total = 1_000_000; // of the command
const large = `import sys
out = sys.stdout.buffer
hostile = b"needle \\x1b[31mred\\x1b[0m <b>bold</b><img src=x onerror=window.owned=1><script>window.owned=1</script> " \\
    b"\\x1b]0;owned\\x07 \\x1b]8;;http://evil.example/\\x1b\\\\link\\x1b]8;;\\x1b\\\\ \\x1b]52;c;b3duZWQ=\\x07 \\xe2\\x80\\xaebidi \\x00 half \\xc3\\n"
for start in range(1, ${total} + 1, 10000):
    lines = [b"line %d \\x1b[3%dmcolour\\x1b[0m\\n" % (n, n % 8) for n in range(start, start + 10000)]
    if start <= 500500 < start + 10000:
        lines[500500 - start] = hostile
    if start <= 700000 < start + 10000:
        lines[700000 - start] = b"y" * 10000000 + b"\\n"
    out.write(b"".join(lines))
`;
const run = (command) => tool('run', { command });
const plan = {
  conversations: [
    {
      match: [],
      iterations: [
        [
          turn('I look around.', run('echo short; echo output'), run('echo broken; exit 3')),
          turn('', tool('write', { path: 'large.py', content: large }), run('python3 large.py')),
          turn('', tool('write', { path: 'file.txt', content: 'one\ntwo\n' })),
          turn('', tool('finish', { summary: 'Added.' })),
        ],
      ],
    },
  ],
};

describe('the log viewer', { skip: missing }, () => {
  let t;
  let task;
  let whole; // lines of the log
  let colours; // lines that match
  let shift; // of the command's lines in it
  before(async () => {
    t = await open(plan);
    task = (await t.do('task', { text: 'Add a line with the word two to file.txt', repo: 'plain', checks: ['sh check.sh'] })).task;
    await t.do('wait', { task, states: ['done', 'unproven'] });
    const api = async (path) => (await t.do('api', { method: 'GET', path: `/api/v1/tasks/${task}/log${path}` })).body;
    for (let tries = 0; tries < 200 && !(await api('?count=1')).complete; tries++);
    whole = (await api('?count=1')).total;
    colours = (await api('/search?q=colour&limit=0')).total;
    assert.ok(colours >= total - 2, `${colours} lines with colour`);
    shift = (await api('/search?q=line%20123456%20&limit=1')).matches[0].line - 123456;
  });
  after(() => t?.close());

  const area = (page) => page.getByRole('region', { name: /^Log of/ });
  const row = (page, line) => page.locator(`[data-line="${line}"]`);
  const step = (page, name) => page.getByRole('button', { name });
  // What the document holds, whatever the log has.
  async function small(page) {
    const has = await page.evaluate(() => ({ rows: document.querySelectorAll('.lines-row').length, all: document.querySelectorAll('*').length }));
    assert.ok(has.rows < 200, `${has.rows} rows`);
    assert.ok(has.all < 2500, `${has.all} elements`);
  }

  test('what passed is folded, what failed is open; by keyboard; kept by this browser alone', async () => {
    const page = await t.page();
    const top = async (which) => {
      await which.goto(`/tasks/${task}?tab=log`);
      await row(which, whole).waitFor(); // it opens at its end
      await area(which).focus();
      await which.keyboard.press('Home');
      await step(which, /^run: echo short/).waitFor();
    };
    await top(page);
    assert.equal(await step(page, /^run: echo short/).getAttribute('aria-expanded'), 'false');
    assert.equal(await page.getByText('output', { exact: true }).count(), 0);
    assert.equal(await step(page, /^run: echo broken.*failed, exit 3/).getAttribute('aria-expanded'), 'true');
    await page.getByText('broken', { exact: true }).waitFor();
    assert.match(await step(page, /^run: python3 large\.py/).getAttribute('aria-label'), new RegExp(`${total.toLocaleString('en').slice(0, 5).replace(',', ' ')}`));
    // From step to step, open it, fold it, open it again.
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '');
    for (let i = 0; i < 10 && !(await focused()).startsWith('run: echo short'); i++) await page.keyboard.press(']');
    assert.match(await focused(), /^run: echo short/);
    await page.keyboard.press('ArrowRight');
    await page.getByText('output', { exact: true }).waitFor();
    await page.keyboard.press('ArrowLeft');
    await page.getByText('output', { exact: true }).waitFor({ state: 'detached' });
    await page.keyboard.press('Enter');
    await page.getByText('output', { exact: true }).waitFor();
    assert.match(await focused(), /^run: echo short/);
    await page.keyboard.press(']');
    await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label')?.startsWith('run: echo broken'));
    await page.keyboard.press('[');
    await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label')?.startsWith('run: echo short'));
    await page.keyboard.press('Tab'); // no trap
    assert.doesNotMatch(await focused(), /^run: /);
    await top(page);
    await page.getByText('output', { exact: true }).waitFor();
    const other = await t.page();
    await top(other);
    assert.equal(await other.getByText('output', { exact: true }).count(), 0);
    // All of them, and none.
    await page.getByRole('combobox', { name: 'Steps' }).selectOption('all');
    await page.getByText('output', { exact: true }).waitFor({ state: 'detached' });
    assert.equal(await step(page, /^run: echo broken/).getAttribute('aria-expanded'), 'false');
    await page.getByRole('button', { name: 'Next failure' }).click();
    await page.waitForURL(/line=\d+/);
    await sound(page, 'log-folded');
    await page.getByRole('combobox', { name: 'Steps' }).selectOption('none');
    await page.getByText(/^1 \d{3} \d{3} lines$/).waitFor();
    await page.getByRole('button', { name: 'Later part' }).waitFor(); // more rows than an element can be high
    await page.context().close();
    await other.context().close();
  });

  test('a million lines: beginning, middle, end, a search over all of it; little is in the document', async () => {
    const page = await t.page();
    const asked = [];
    page.on('request', (request) => {
      const count = Number(new URL(request.url()).searchParams.get('count'));
      if (/\/log\?/.test(request.url())) asked.push(count);
    });
    await page.goto(`/tasks/${task}?tab=log&line=${shift + 654_321}`); // in a step that is folded: it opens
    await row(page, shift + 654_321).getByText('line 654321').waitFor();
    await small(page);
    await area(page).focus();
    await page.keyboard.press('Home');
    await row(page, 1).getByText('Task:').waitFor();
    await small(page);
    await page.keyboard.press('End');
    await row(page, whole).locator('text=/\\w/').waitFor();
    await small(page);
    await page.keyboard.press('Control+f');
    const search = page.getByRole('searchbox', { name: 'Find in the whole log' });
    assert.ok(await search.evaluate((element) => element === document.activeElement), 'Ctrl+F opens our search');
    await search.fill('colour');
    await page.getByText(`1 of ${colours}`).waitFor(); // the true total
    await search.fill('needle');
    await page.locator('mark', { hasText: 'needle' }).waitFor();
    await page.getByText('1 of 1', { exact: true }).waitFor();
    await small(page);
    await search.fill('');
    const line = row(page, shift + 500_500);
    await line.locator('.sgr-1', { hasText: 'red' }).waitFor();
    const words = await line.innerText();
    assert.match(words, /<b>bold<\/b><img src=x onerror=window\.owned=1><script>/);
    assert.match(words, /\ufffdbidi/);
    assert.match(words, /link/);
    assert.match(words, /half \ufffd/);
    assert.match(words, /\u2400/);
    assert.doesNotMatch(words, /evil\.example|b3duZWQ|[\u202a-\u202e\u0000\u0007\u001b]/);
    assert.equal(await area(page).locator('img, script, b').count(), 0);
    assert.equal(await page.evaluate(() => window.owned), undefined);
    assert.doesNotMatch(await page.title(), /owned/);
    await page.goto(`/tasks/${task}?tab=log&line=${shift + 700_000}`);
    await page.getByText(/^10\.0 MB of this line are not kept|^9996 kB of this line are not kept/).waitFor();
    assert.ok((await row(page, shift + 700_000).innerText()).length < 5000);
    assert.ok(Math.max(...asked) <= 500, 'the log is fetched in windows');
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  });

  test('while it is scrolled through, what is typed arrives', async () => {
    const page = await t.page();
    await page.goto(`/tasks/${task}?tab=log&line=${shift + 400_000}`);
    await row(page, shift + 400_000).getByText('line 400000').waitFor();
    // Scrolls on from frame to frame until ten keys have come (or far too many frames): a page that stops answering hears none of them.
    const scrolling = page.evaluate(async () => {
      const element = document.querySelector('.lines-area');
      let keys = 0;
      let most = 0;
      let frames = 0;
      window.addEventListener('keydown', () => keys++);
      while (keys < 10 && frames++ < 20_000) {
        element.scrollTop = (element.scrollTop + 3000 + (frames % 7) * 900_000) % element.scrollHeight;
        await new Promise((next) => requestAnimationFrame(next));
        most = Math.max(most, element.querySelectorAll('.lines-row').length);
      }
      return { keys, most };
    });
    await page.getByRole('searchbox', { name: 'Find in the whole log' }).focus();
    for (let i = 0; i < 10; i++) await page.keyboard.press('x');
    const { keys, most } = await scrolling;
    assert.equal(keys, 10);
    assert.ok(most < 200, `${most} rows`);
    assert.equal(await page.getByRole('searchbox', { name: 'Find in the whole log' }).inputValue(), 'xxxxxxxxxx');
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  });

  test('scrolling up ends following; the whole can be downloaded', async () => {
    const page = await t.page();
    await page.goto(`/tasks/${task}?tab=log`);
    await row(page, whole).waitFor();
    await page.getByRole('combobox', { name: 'Steps' }).selectOption('none');
    await row(page, whole).waitFor();
    await area(page).evaluate((element) => element.scrollBy(0, -4000));
    await page.getByRole('button', { name: 'To the end' }).click();
    await row(page, whole).waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
    let lines = 0;
    for await (const piece of createReadStream(await download.path())) for (const byte of piece) lines += byte === 10;
    assert.equal(lines, whole);
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  });

  test('long lines can be wrapped, and folded there too', async () => {
    const page = await t.page({ width: 320, height: 640 });
    await page.goto(`/tasks/${task}?tab=log&line=${shift + 500_500}`);
    await row(page, shift + 500_500).getByText('needle').waitFor();
    await page.getByRole('button', { name: 'Wrap' }).click();
    await page.getByRole('button', { name: /^Lines after/ }).waitFor();
    await row(page, shift + 500_500).getByText('needle').waitFor();
    await page.getByRole('searchbox', { name: 'Find in the whole log' }).fill('line 900001 ');
    await row(page, shift + 900_001).getByText('line 900001').waitFor();
    await page.getByRole('combobox', { name: 'Steps' }).selectOption('all');
    await page.getByRole('searchbox', { name: 'Find in the whole log' }).fill('');
    await step(page, /^run: python3 large\.py/).waitFor();
    await sound(page, 'log-wrapped-320');
    await page.getByRole('button', { name: 'Wrap' }).click();
    await page.context().close();
  });
});
