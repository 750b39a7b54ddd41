/** A quiet row under a task: copy its answer, run it again, and a menu of downloads. */

import { downloadsOf } from "./artifacts/downloads.js";
import { copyText, h, on, setText } from "./dom.js";
import { isFinished } from "./task-state.js";

export class TakeAlong {
  #task;
  #streamUrl;
  #menu = h("div.ta-menu", { popover: "auto" });
  #more = h("button.quiet", { type: "button", popoverTargetElement: this.#menu, "data-testid": "take-along-menu" }, "More");
  #copy = h("button.quiet", { type: "button", "data-testid": "copy-answer" }, "Copy");
  #again = h("button.quiet", { type: "button", "data-testid": "run-again" });
  #notice = h("p.notice", { role: "alert" });
  element = h("div.ta", { "data-testid": "take-along" }, this.#copy, this.#again, this.#more, this.#menu, this.#notice);
  #busy = false;

  /**
   * @param {{streamUrl: (cursor: number) => string, onRunAgain: (task: any) => any}} options the address of the task's
   *   events after a cursor, and what sends the task's request again
   */
  constructor({ streamUrl, onRunAgain }) {
    this.#streamUrl = streamUrl;
    on(this.#copy, "click", () => copyText(this.#copy, this.#task.answer.text));
    on(this.#again, "click", () => this.#try(() => onRunAgain(this.#task)));
    on(this.#menu, "beforetoggle", ({ newState }) => newState === "open" && this.#open());
  }

  draw(task) {
    this.#task = task;
    const { answer, request, state } = task;
    this.#copy.hidden = !answer?.text;
    this.#again.hidden = !request || !isFinished(state);
    setText(this.#again, state === "failed" || state === "rejected" ? "Retry" : "Run again");
  }

  #open() {
    const entries = downloadsOf(this.#task, this.#streamUrl, (text) => copyText(this.#more, text));
    const button = ([label, act]) => h("button", { type: "button", onclick: () => this.#try(act) }, label);
    this.#menu.replaceChildren(...entries.map(button));
    this.#place();
  }

  /** Above its button, unless that is in the upper half of the page. */
  #place() {
    const { left, top, bottom } = this.#more.getBoundingClientRect();
    const below = bottom < innerHeight / 2;
    this.#menu.style.maxHeight = `${(below ? innerHeight - bottom : top) - 12}px`;
    this.#menu.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - 256))}px`;
    this.#menu.style.top = below ? `${bottom + scrollY + 4}px` : "auto";
    this.#menu.style.bottom = below ? "auto" : `${innerHeight - top - scrollY + 4}px`;
  }

  async #try(act) {
    if (this.#busy) return;
    this.#busy = true;
    setText(this.#notice, "");
    this.#menu.hidePopover(); // the focus goes back to its button
    await Promise.resolve().then(act).catch(({ message }) => setText(this.#notice, message));
    this.#busy = false;
  }
}
