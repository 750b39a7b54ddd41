/** The bundle's sample, offered on the first view: a button that sends it, and how it ran once. */

import { h, on, setText } from "./dom.js";
import { fileSize } from "./format.js";
import { prepareFile } from "./prepare-file.js";
import { playRun } from "./recorded-run.js";

/**
 * @param {string} agent that it is for @param {(parts: Promise<any[]>) => Promise<any>} send shows what goes wrong
 * @returns {Promise<{element: any, close: () => void}>}
 */
export async function offerSample(agent, send) {
  const { title, text, alert, files } = await (await load("sample.json")).json();
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  const button = h("button.button.accent", { type: "button", "data-testid": "sample-button" }, "Try the sample");
  const filePart = async ({ href, filename }) => (await prepareFile(new File([await (await load(href)).blob()], filename))).part;
  on(button, "click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true"; // a disabled button would lose the focus
    setText(button, "Sending …");
    await send(Promise.all(files.map(filePart)).then((parts) => [{ text }, { data: { alert } }, ...parts]));
    button.ariaDisabled = null;
    setText(button, "Try the sample");
  });
  const about = h("span", `${title} (${files.length} files, ${fileSize(size)}), for ${agent}`);
  const element = h("div", h("div.sample", button, about));
  const aborter = new AbortController();
  playRun(aborter.signal).then((run) => element.append(run), () => {}); // it is only a picture
  return { element, close: () => aborter.abort() };
}

async function load(href) {
  const response = await fetch(`sample/${href}`).catch(() => {
    throw new Error("The sample could not be loaded: the gateway did not answer. Try again in a moment.");
  });
  if (!response.ok) throw new Error(`The sample could not be loaded (${href}: ${response.status}).`);
  return response;
}
