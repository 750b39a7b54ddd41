// A user of the page in Firefox: `node flows.mjs URL FIREFOX` prints the outcome of each flow as a line of JSON.
// Keys are typed one by one. What may move while the page follows its end is pressed by a key: a click would go to where
// it was when puppeteer looked.

import puppeteer from "puppeteer-core";

const [url, executablePath] = process.argv.slice(2);
const TIMEOUT = 60_000; // ms

const browser = await puppeteer.launch({ browser: "firefox", executablePath, timeout: TIMEOUT });
const page = await browser.newPage();
page.setDefaultTimeout(TIMEOUT);
const errors = [];
// Firefox logs the end of an EventSource in the same way as an error of a script.
page.on("pageerror", ({ message }) => /^(Firefox can|The connection to )/.test(message) || errors.push(message));

const say = (step, outcome = {}) => console.log(JSON.stringify({ step, ...outcome }));
const named = (testid) => `[data-testid="${testid}"]`;
const press = async (selector) => (await page.waitForSelector(selector, { visible: true })).press("Enter");
const newest = (inside, state) => `.turn:last-child[data-state="${state}"] ${inside}`;
const shows = (selector, text) => page.waitForFunction((selector, text) => document.querySelector(selector)?.innerText.includes(text), {}, selector, text);

async function send(text) {
  const box = await page.waitForSelector(named("message-input"), { visible: true });
  await box.type(text);
  await press(named("send-button"));
}

try {
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(url);
  await send("hello Firefox");
  await shows(newest(named("answer"), "completed"), "You said hello Firefox");
  say("answered");

  await send("pick");
  await page.waitForSelector(newest(named("question"), "input-required"), { visible: true });
  await press("::-p-aria(green)");
  await shows(newest(named("answer"), "completed"), "You picked green.");
  say("question answered");

  await send("slow 4000");
  await shows(newest(named("answer"), "working"), "line 3");
  await press(named("cancel-button"));
  await press(`${newest(named("work"), "canceled")} > summary`);
  await shows(newest(named("timeline"), "canceled"), "work");
  say("stopped");

  await page.setViewport({ width: 390, height: 800 });
  await page.reload();
  await page.waitForSelector(newest(named("work"), "canceled"));
  say("reloaded", {
    turns: await page.$$eval(".turn", (turns) => turns.length),
    fits: await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
    errors,
  });
} catch (error) {
  console.error(await page.evaluate(() => document.body.innerText));
  throw error;
} finally {
  await browser.close();
}
