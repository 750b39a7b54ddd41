/** What an owner does with a conversation: rename it, and delete it. */

import { deleteConversation, renameConversation } from "./api.js";
import { h, on, setText } from "./dom.js";

/** @typedef {{contextId: string, agent: string}} Named a conversation */

/**
 * Show a form in the place of the heading. @param {any} heading @param {any} button that was clicked
 * @param {Named} conversation @param {string} title @param {(title: string) => void} onRenamed
 */
export function rename(heading, button, conversation, title, onRenamed) {
  const input = h("input.rename", { value: title, maxLength: 200, ariaLabel: "Title" });
  const notice = h("p.notice", { role: "alert" });
  const close = () => {
    form.remove();
    heading.classList.remove("visually-hidden");
    button.hidden = false;
    button.focus();
  };
  const cancel = h("button.button", { type: "button", onclick: close }, "Cancel");
  const form = h("form.renaming", input, h("button.button.primary", "Save"), cancel, notice);
  on(form, "keydown", (event) => event.key === "Escape" && close());
  on(form, "submit", async (event) => {
    event.preventDefault();
    const chosen = input.value.trim();
    if (!chosen) return setText(notice, "Write a title.");
    try {
      const renamed = await renameConversation(conversation, chosen);
      close();
      onRenamed(renamed.title);
    } catch (/** @type {any} */ error) {
      setText(notice, error.message);
    }
  });
  button.hidden = true;
  heading.classList.add("visually-hidden"); // a page without a heading is hard to find one's way in
  heading.after(form);
  input.select();
}

const WARNING = "The conversation, its files and what its agent remembers of it are deleted for good.";

/** Ask in a dialog, which goes when its view does. @param {any} view an element @param {Named} conversation @param {() => void} onDeleted */
export function confirmDeletion(view, conversation, onDeleted) {
  if (document.querySelector("dialog")) return; // clicked twice
  const notice = h("p.notice", { role: "alert" });
  const remove = h("button.button.danger", { type: "button" }, "Delete");
  const keep = h("button.button", { type: "button", onclick: () => dialog.close() }, "Keep it");
  const dialog = h("dialog.dialog", { ariaLabel: "Delete the conversation" }, h("p", WARNING), notice, h("div.actions", keep, remove));
  on(remove, "click", async () => {
    try {
      await deleteConversation(conversation);
      dialog.close();
      onDeleted();
    } catch (/** @type {any} */ error) {
      setText(notice, error.message);
    }
  });
  on(dialog, "close", () => dialog.remove());
  view.append(dialog);
  dialog.showModal();
}
