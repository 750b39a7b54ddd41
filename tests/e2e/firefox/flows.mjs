// A user of the page in Firefox: `node flows.mjs URL FIREFOX` prints the outcome of each flow as a line of JSON.
// Keys are typed one by one. What may move while the page follows its end is pressed by a key: a click would go to where
// it was when puppeteer looked.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import puppeteer from "puppeteer-core";

const [url, executablePath] = process.argv.slice(2);
const TIMEOUT = 120_000; // ms

const folder = await mkdtemp(join(tmpdir(), "downloads-"));
// The list of downloads would open, and take the keys. Endless decorations cost a browser without a GPU a lot.
const extraPrefsFirefox = {
  "browser.download.folderList": 2, "browser.download.dir": folder, "browser.download.alwaysOpenPanel": false,
  "ui.prefersReducedMotion": 1,
};
const browser = await puppeteer.launch({ browser: "firefox", executablePath, timeout: TIMEOUT, extraPrefsFirefox });
const page = await browser.newPage();
page.setDefaultTimeout(TIMEOUT);
const errors = [];
// Firefox logs the end of an EventSource in the same way as an error of a script.
page.on("pageerror", ({ message }) => /^(Firefox can|The connection to )/.test(message) || errors.push(message));

const say = (step, outcome = {}) => console.log(JSON.stringify({ step, ...outcome }));
const named = (testid) => `[data-testid="${testid}"]`;
const press = async (selector) => (await page.waitForSelector(selector, { visible: true })).press("Enter");
const newest = (inside, state) => `.turn:last-child[data-state="${state}"] ${inside}`;
// Looked at ten times a second: otherwise with each frame, which is then laid out for it.
const shows = (selector, text) => page.waitForFunction((selector, text) => document.querySelector(selector)?.innerText.includes(text), { polling: 100 }, selector, text);

/** The name and the text of the one file that was downloaded. Firefox writes it under another name first. */
async function downloaded() {
  for (let left = TIMEOUT; left > 0; left -= 50) {
    const [name, ...others] = await readdir(folder);
    const text = name && !others.length && !name.endsWith(".part") ? await readFile(join(folder, name), "utf8") : "";
    if (text) return { name, text };
    await pause(50);
  }
  throw new Error("nothing was downloaded");
}

async function send(text) {
  const box = await page.waitForSelector(named("message-input"), { visible: true });
  await box.type(text);
  await press(named("send-button"));
}

try {
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(url);
  await press(named("sample-button"));
  await shows(newest(named("answer"), "completed"), "What happened");
  await shows(named("findings"), "Findings");
  say("report", { findings: await page.$$eval(named("finding"), (findings) => findings.length) });

  await press(named("take-along-menu"));
  await press("::-p-text(Download the answer)");
  const { name, text } = await downloaded();
  say("downloaded", { name, isReport: text.includes("## What happened") });

  await press(named("new-conversation"));
  await send("hello Firefox");
  await shows(newest(named("answer"), "completed"), "You said hello Firefox");
  say("answered");

  await send("pick");
  await page.waitForSelector(newest(named("question"), "input-required"), { visible: true });
  await press("::-p-aria(green)");
  await shows(newest(named("answer"), "completed"), "You picked green.");
  say("question answered");

  await send("lines 10, 10 before never");
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
  await rm(folder, { recursive: true, force: true });
}
