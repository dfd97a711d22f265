// The board's page in a real Chromium: that axe finds nothing against it, that nothing of a name is run or fetched, that
// everything is reached by the keyboard, and that it is whole without scripts and on a phone.
//
// usage: node tests/browser/board_page.mjs PROGRAM PACKAGES [SCREENSHOTS [RESULTS]]
//   PROGRAM      the diffreward command
//   PACKAGES     folder that `npm ci` was run in (make test-browser: build/browser)
//   SCREENSHOTS  folder for pictures of the project's own board; none where it is left out or empty
//   RESULTS      results file that gets the size of a page of 1,000 methods and how soon it can be used (make bench-board-page)
// Ends with 77 where Chromium or the packages are missing.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const [program, packages, screenshots, results] = process.argv.slice(2);

function skip(reason) {
  console.log(`skipped: ${reason} (make test-browser)`);
  process.exit(77);
}

const browser_path = (process.env.PATH ?? '').split(':').map((folder) => path.join(folder, 'chromium')).find((file) => fs.existsSync(file));
if (!browser_path) skip('there is no chromium');
let chromium, axe;
try {
  const require = createRequire(path.resolve(packages, 'package.json'));
  ({ chromium } = require('playwright-core'));
  axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
} catch {
  skip(`${packages} has no playwright-core and axe-core`);
}

const faults = [];
function expect(good, ...what) {
  if (!good) {
    faults.push(what.join(' '));
    console.log('FAULT', ...what);
  }
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'diffreward_browser_'));
const board = (verb, ...args) => execFileSync(program, ['board', verb, ...args, '--quiet'], { encoding: 'utf8' });

/** The page of a board that `file` is imported into. */
function page_of(name, file, imported, exported) {
  const database = path.join(folder, `${name}.sqlite`), page = path.join(folder, `${name}.html`);
  board('init', database, '--tasks', 'none');
  board('import', file, '--board', database, ...imported);
  board('export', database, '--page', '--out', page, '--threads', '1', ...exported);
  return page;
}

const hostile = JSON.parse(fs.readFileSync(path.join(root, 'tests/leaderboard/hostile_names.json'), 'utf8'));
// One of them has a run that failed, and is unranked.
const scores = Object.fromEntries(hostile.map((name, i) => [name, [[0.1 * i, 0.5], [0.2, i === 3 ? null : 0.4], [0.3, 0.3]]]));
const scores_file = path.join(folder, 'scores.json');
fs.writeFileSync(scores_file, JSON.stringify(scores));
const pages = [
  { name: 'hostile', rows: hostile.length, file: page_of('hostile', scores_file,
    ['--format', 'scores', '--suite', hostile[0], '--tasks', `${hostile[1]},${hostile[2]}`], ['--title', hostile[0]]) },
  { name: 'project', rows: 0, file: page_of('project', path.join(root, 'leaderboard/board.json'), [], []) },
];

const browser = await chromium.launch({ executablePath: browser_path, args: ['--no-sandbox', '--disable-gpu'] });

/** A page that is open, with everything that it tried beside being shown. */
async function open(file, options = {}, hash = '') {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const seen = { dialogs: [], requests: [], messages: [] };
  page.on('dialog', (dialog) => { seen.dialogs.push(dialog.message()); dialog.dismiss(); });
  page.on('request', (request) => { if (!request.isNavigationRequest()) seen.requests.push(request.url()); });
  page.on('console', (message) => seen.messages.push(message.text()));
  page.on('pageerror', (error) => seen.messages.push(String(error)));
  await page.goto(pathToFileURL(file).href + hash);
  return { context, page, seen };
}

const kFocusable = 'a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex="-1"])';

for (const { name, file, rows } of pages) {
  for (const [view, options] of Object.entries({
    light: { colorScheme: 'light' },
    dark: { colorScheme: 'dark' },
    phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  })) {
    const { context, page, seen } = await open(file, options);
    const where = `${name}, ${view}:`;
    if (screenshots && name === 'project') {
      fs.mkdirSync(screenshots, { recursive: true });
      await page.screenshot({ path: path.join(screenshots, `${view}.png`), fullPage: true });
    }
    for (const open_rows of [false, true]) {
      if (open_rows) await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true; }));
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations', 'passes'] }));
      expect(passes.length > 20, where, 'expected axe to look at the page, found', passes.length, 'rules passed');
      for (const { id, help, nodes } of violations)
        expect(false, where, `axe: ${id}: ${help}: ${nodes.length} times, first ${nodes[0].html.slice(0, 200)}`, nodes[0].failureSummary);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide <= 0, where, 'expected no sideways scrolling of the page, found', wide, 'pixels');
    expect(seen.dialogs.length === 0, where, 'expected no dialog, found', seen.dialogs);
    expect(seen.requests.length === 0, where, 'expected no request, found', seen.requests);
    expect(seen.messages.length === 0, where, 'expected a silent console, found', seen.messages);
    if (name === 'hostile') {
      expect(await page.title() === hostile[0], where, 'expected the title as it was given, found', await page.title());
      expect(await page.locator('script').count() === 1, where, 'expected one script, the page\'s own');
      expect(await page.locator('img').count() === 0, where, 'expected no image');
    }
    await context.close();
  }

  // By the keyboard alone: Tab comes to everything that can be used, in its order, and shows where it is.
  const { context, page } = await open(file);
  const wanted = await page.evaluate((selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility()).length, kFocusable);
  let reached = 0;
  for (; reached < wanted; ++reached) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate((selector) => {
      const all = [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility());
      const e = document.activeElement, style = getComputedStyle(e);
      return { index: all.indexOf(e), ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0, html: e.outerHTML.slice(0, 120) };
    }, kFocusable);
    if (at.index !== reached || !at.ring) {
      expect(false, `${name}: expected Tab ${reached + 1} at the focusable ${reached} of ${wanted}, with a ring around it, found`, at.index, at.ring, at.html);
      break;
    }
  }
  await page.locator('summary').first().focus();
  await page.keyboard.press('Enter');
  expect(await page.locator('details[open]').count() === 1, `${name}: expected Enter to open a row's details`);
  await context.close();

  const { context: plain, page: unscripted } = await open(file, { javaScriptEnabled: false });
  const count = await unscripted.locator('tr.entry').count();
  expect(rows ? count === rows : count > 0, `${name}: expected ${rows || 'some'} rows without scripts, found`, count);
  expect(await unscripted.locator('.filters').isHidden(), `${name}: expected no filters without scripts`);
  await plain.close();
}

// What a link says of the filter is applied, and nothing else of it.
{
  const { context, page, seen } = await open(pages[0].file, {}, '#filter?q=evil');
  expect(await page.locator('.filters output').innerText() === `1 of ${hostile.length} rows`, 'filter: expected one row, found',
    await page.locator('.filters output').innerText());
  await page.goto(pathToFileURL(pages[0].file).href + `#filter?q=${encodeURIComponent(hostile[1])}&kind=<img src=x onerror=alert(1)>`);
  expect(seen.dialogs.length === 0 && seen.requests.length === 0, 'filter: expected no dialog and no request of a link');
  await context.close();
}

if (results) {
  const kMethods = 1000, kLoads = 9;
  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const large = path.join(folder, 'large.json');
  fs.writeFileSync(large, JSON.stringify(Object.fromEntries(Array.from({ length: kMethods }, (_, i) =>
    [`method ${i}`, [0, 1, 2].map((run) => [0, 1, 2].map((task) => Math.sin(7 * i + 3 * run + task) / 5 + i / kMethods))]))));
  const file = page_of('large', large, ['--format', 'scores', '--suite', 's'], []);
  const usable = [], filtered = [];
  for (let load = 0; load < kLoads; ++load) {
    const { context, page } = await open(file);
    usable.push(await page.evaluate(() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd));
    filtered.push(await page.evaluate(() => {
      const field = document.querySelector('.filters input'), begin = performance.now();
      field.value = 'method 77';
      field.dispatchEvent(new Event('input', { bubbles: true }));
      document.body.getBoundingClientRect();  // lays it out
      return performance.now() - begin;
    }));
    await context.close();
  }
  const found = { methods: kMethods, bytes: fs.statSync(file).size, usable_ms: median(usable), filter_ms: median(filtered), loads: kLoads };
  expect(found.bytes <= 1.5e6, 'large page: expected at most 1.5 MB, found', found.bytes);
  console.log(JSON.stringify({ page_in_chromium: found }));
  fs.writeFileSync(results, JSON.stringify({ ...JSON.parse(fs.readFileSync(results, 'utf8')), page_in_chromium: found }, null, 2) + '\n');
}

await browser.close();
fs.rmSync(folder, { recursive: true });
console.log(faults.length ? `${faults.length} faults` : 'no faults');
process.exit(faults.length ? 1 : 0);
