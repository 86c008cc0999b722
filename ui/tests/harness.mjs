// What the tests of the page stand on: the real server (serve.py), Debian's Chromium, and what every screen must hold:
// no violation of the policy, no error in the console, nothing that axe finds, no sideways scrolling at 320 px.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import AxeBuilder from '@axe-core/playwright';
import { chromium } from 'playwright-core';

export const browserPath = process.env.NIGHTMILL_CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path));
export const missing = browserPath ? false : 'there is no Chromium here (apt-get install chromium)';
const here = import.meta.dirname;
// With NIGHTMILL_SHOTS=FOLDER every screen that is looked at is kept there as a picture.
const shots = process.env.NIGHTMILL_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });

export const script = (...iterations) => ({ conversations: [{ match: [], iterations }] });
export const turn = (text, ...tools) => ({ text, tools });
export const tool = (name, args) => ({ name, args });

class Server {
  #child;
  #waiting = [];
  #lines;
  constructor() {
    this.#child = spawn('python3', [join(here, 'serve.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#lines.on('line', (line) => this.#waiting.shift()?.(JSON.parse(line)));
    this.#child.on('exit', () => this.#waiting.splice(0).forEach((tell) => tell({ error: 'the server has ended' })));
  }
  async do(what, more = {}) {
    const answer = new Promise((tell) => this.#waiting.push(tell));
    this.#child.stdin.write(JSON.stringify({ do: what, ...more }) + '\n');
    const said = await answer;
    if (said?.error) throw new Error(`${what}: ${said.error}`);
    return said;
  }
  async close() {
    const ended = new Promise((tell) => this.#child.once('exit', tell));
    this.#child.stdin.end();
    await ended;
  }
}

// One server and one browser for a file of tests. `plan` is the model's script. `owner`: made by the setup link, and every page is logged in as that.
// plan 'filled': a server with a month behind it; 'empty': one on its first day.
export async function open(plan, { owner = true } = {}) {
  const server = new Server();
  const { url, folder } = await (plan === 'filled' || plan === 'empty' ? server.do(plan) : server.do('start', { plan }));
  const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  let cookies = [];
  if (owner) {
    const { out } = await server.do('command', { arguments: ['setup-link'] });
    const token = /#(\S+)/.exec(out)?.[1];
    assert.ok(token, `no setup link in: ${out}`);
    const context = await browser.newContext();
    const answer = await context.request.post(`${url}/api/v1/setup`, { data: { token, name: 'ada', password: 'correct horse battery' }, headers: { 'X-Nightmill': '1', Origin: url } });
    assert.equal(answer.status(), 201, await answer.text());
    cookies = await context.cookies();
    await context.close();
  }
  const contexts = new Set();
  const test = {
    url,
    folder,
    server,
    browser,
    do: (what, more) => server.do(what, more),
    // A page of a browser of its own. at: the server's address, when it has moved. What goes wrong in it is collected in page.wrong.
    async page({ width = 1280, height = 800, dark = false, login = true, keyboard = false, at = url } = {}) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', hasTouch: width < 500, baseURL: at });
      contexts.add(context);
      if (login && cookies.length) await context.addCookies(cookies);
      if (login && at !== url) await context.request.post(`${at}/api/v1/session`, { data: { name: 'ada', password: 'correct horse battery' }, headers: { 'X-Nightmill': '1', Origin: at } });
      const page = await context.newPage();
      page.setDefaultTimeout(15_000);
      page.wrong = [];
      page.keyboard.only = keyboard;
      await page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (event) => console.error(`POLICY ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
      });
      page.on('console', (message) => {
        // What the browser itself says about an answer of 4xx or a server that is away is no fault of the page.
        if (message.type() === 'error' && !/Failed to load resource|WebSocket connection to/.test(message.text())) page.wrong.push(message.text());
      });
      page.on('pageerror', (error) => page.wrong.push(String(error)));
      return page;
    },
    async close() {
      for (const context of contexts) await context.close().catch(() => undefined);
      await browser.close();
      await server.close();
    },
  };
  return test;
}

export async function sound(page, name) {
  const wide = await page.evaluate(() => {
    const all = document.documentElement;
    const out = [...document.querySelectorAll('body *')].filter((element) => {
      if (element.closest('.table-frame, .lines-area, .tabs, .timeline-blocks, .changes-hunks, pre, .tasks-board, .log-tools, dialog, .hidden, .skip, .scrolls')) return false;
      return element.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(element).position !== 'fixed';
    });
    return { scroll: all.scrollWidth, width: innerWidth, out: out.slice(0, 5).map((element) => `${element.tagName}.${element.className}: ${element.textContent?.slice(0, 40)}`) };
  });
  if (shots && name) {
    if (name.startsWith('task-') && name.endsWith('-320')) await page.getByRole('tablist').evaluate((element) => element.scrollIntoView());
    await page.screenshot({ path: join(shots, `${name}.png`) });
  }
  assert.ok(wide.scroll <= wide.width, `${name}: ${wide.scroll} px in a window of ${wide.width}: ${wide.out.join('; ')}`);
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze();
  assert.deepEqual(
    violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + ' ' + node.failureSummary?.slice(0, 200)).join(' | ')}`),
    [],
    name,
  );
  assert.deepEqual(page.wrong, [], name);
}

// By keyboard alone (a range marks its thumb, which cannot be asked for here): the link over everything that repeats, then on and on. Wherever the focus goes it is seen, on the screen, in what lies on top; it
// never stays where it is; and nothing that can be pressed is left out of the way.
export async function byKeyboard(page, name, most = 24) {
  await page.evaluate(() => document.activeElement?.blur());
  const skip = page.getByRole('link', { name: 'To the content' });
  if ((await skip.count()) && !(await page.locator('dialog[open]').count())) {
    await skip.focus();
    assert.ok((await skip.boundingBox()).y >= 0, `${name}: the link to the content is not seen`);
    await page.keyboard.press('Enter');
  }
  const look = () =>
    page.evaluate(() => {
      const at = document.activeElement;
      if (!at || at === document.body || at.id === 'main') return null;
      const box = at.getBoundingClientRect();
      const around = [at, at.parentElement, at.nextElementSibling].filter(Boolean).map((one) => getComputedStyle(one));
      const kept = (window.keptFocus ??= new WeakMap());
      if (!kept.has(at)) kept.set(at, (window.keptCount = (window.keptCount ?? 0) + 1));
      return {
        id: kept.get(at),
        what: `${at.tagName}.${at.className} ${(at.getAttribute('aria-label') ?? at.textContent ?? '').slice(0, 40)}`,
        marked: at.type === 'range' || around.some((style) => (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== 'none'),
        seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
      };
    });
  let before = null;
  for (let i = 0; i < most; i++) {
    await page.keyboard.press('Tab');
    const now = await look();
    if (!now) break;
    assert.notEqual(now.id, before, `${name}: the focus stays at ${now.what}`);
    assert.ok(now.seen, `${name}: the focus is outside of the screen at ${now.what}`);
    assert.ok(now.marked, `${name}: the focus is not marked at ${now.what}`);
    before = now.id;
  }
  const left = await page.evaluate(() =>
    [...document.querySelectorAll('main :is(a[href], button, input, select, textarea, summary), main [onclick]')]
      .filter((one) => one.tabIndex < 0 && !one.disabled && one.offsetParent && !one.closest('[role=tablist], [role=listbox], [role=radiogroup], [role=toolbar], [aria-hidden=true], [inert], .lines-area'))
      .map((one) => one.outerHTML.slice(0, 120)),
  );
  assert.deepEqual(left, [], `${name}: not to be reached by keyboard`);
}

export const ways = [
  { word: 'light', width: 1280 },
  { word: 'dark', width: 1280, dark: true },
  { word: '320', width: 320, height: 640 },
];
// The same in two passes, for many screens of the same parts: dark and narrow together.
export const twoWays = [ways[0], { word: 'dark-320', width: 320, height: 640, dark: true }];
// Screens light, dark and on a small phone, one after the other in one page. Each: { name, path, ready(page), then?(page, way) }; `ready` waits until it
// shows what it should.
export async function everyWay(test, screens, t, which = ways, { keyboard = false } = {}) {
  for (const way of which)
    await t.test(way.word, async () => {
      const page = await test.page(way);
      for (const screen of screens) {
        await page.goto(screen.path);
        await screen.ready(page);
        await screen.then?.(page, way.word);
        await sound(page, `${screen.name}-${way.word}`);
        if (keyboard && way === which[0]) await byKeyboard(page, screen.name);
      }
      await page.context().close();
    });
}
