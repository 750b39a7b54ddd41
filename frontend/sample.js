/** The bundle's sample, offered on the first view: a button that sends it, and how it ran once. */

import { h, on, setText } from "./dom.js";
import { fileSize } from "./format.js";
import { prepareFile } from "./prepare-file.js";
import { playRun } from "./recorded-run.js";

/**
 * Put the sample at the end of `view`. The composer says what goes wrong.
 * @param {{agent: string, view: any, composer: import("./composer.js").Composer, create: (parts: any[]) => Promise<void>,
 *   closing: AbortSignal}} offer `agent` is whom it is for, `closing` ends with the view
 */
export async function offerSample({ agent, view, composer, create, closing }) {
  const { title, text, alert, files } = await (await load("sample.json")).json();
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  const button = h("button.button.accent", { type: "button", "data-testid": "sample-button" }, "Try the sample");
  const filePart = async ({ href, filename }) => (await prepareFile(new File([await (await load(href)).blob()], filename))).part;
  on(button, "click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true"; // a disabled button would lose the focus
    setText(button, "Sending …");
    composer.clearNotice();
    const message = Promise.all(files.map(filePart)).then((parts) => [{ text }, { data: { alert } }, ...parts]);
    await message.then(create).catch((error) => composer.refuse(error.message));
    button.ariaDisabled = null;
    setText(button, "Try the sample");
  });
  const about = h("span", `${title} (${files.length} files, ${fileSize(size)}), for ${agent}`);
  const element = h("div", h("div.sample", button, about));
  if (closing.aborted) return;
  view.append(element);
  playRun(closing).then((run) => element.append(run), () => {}); // it is only a picture
}

async function load(href) {
  const response = await fetch(`sample/${href}`).catch(() => {
    throw new Error("The sample could not be loaded: the gateway did not answer. Try again in a moment.");
  });
  if (!response.ok) throw new Error(`The sample could not be loaded (${href}: ${response.status}).`);
  return response;
}
