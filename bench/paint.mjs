// How long a page takes in Chromium from the start of its navigation until what it is about is painted: a part of bench_api.py.
//
//   node paint.mjs URL SETUP_TOKEN PATH SELECTOR ROUNDS     one line of JSON for each round: {"fcp", "painted"} in milliseconds
//
// Every round is a browser context of its own: nothing is in its cache. `painted`: the frame after the first one in which something matches SELECTOR.
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';

const { chromium } = createRequire(new URL('../ui/package.json', import.meta.url))('playwright-core');
const [url, token, path, selector, rounds] = process.argv.slice(2);
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((one) => existsSync(one));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const first = await browser.newContext();
const made = await first.request.post(`${url}/api/v1/setup`, { data: { token, name: 'ada', password: 'correct horse battery' }, headers: { 'X-Nightmill': '1', Origin: url } });
if (made.status() !== 201) throw new Error(await made.text());
const cookies = await first.cookies();
await first.close();
for (let n = 0; n < Number(rounds); n++) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  await context.addCookies(cookies);
  const page = await context.newPage();
  await page.addInitScript((wanted) => {
    const look = () => {
      if (!document.querySelector(wanted)) requestAnimationFrame(look);
      else requestAnimationFrame(() => setTimeout(() => console.log(`painted ${performance.now()} ${performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1}`)));
    };
    requestAnimationFrame(look);
  }, selector);
  // Nothing of ours runs in the page meanwhile: it says by itself when it is there.
  const said = page.waitForEvent('console', { predicate: (message) => message.text().startsWith('painted '), timeout: 60_000 });
  await page.goto(url + path, { waitUntil: 'commit' });
  const [, painted, fcp] = (await said).text().split(' ').map(Number);
  console.log(JSON.stringify({ fcp, painted }));
  await context.close();
}
await browser.close();
