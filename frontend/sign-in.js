/**
 * Asks who the user is: at the issuer, in a window of its own, so that nothing on this page is lost; on the user's own
 * machine for an address that a shell prints; or for the shared secret, where the gateway has no issuer.
 */

import { copyText, h, on } from "./dom.js";

/** Tells all windows of this page that somebody has signed in here, or out. */
const channel = new BroadcastChannel("tailrace-sign-in");
const WORDS = "You are not signed in, or your session is over. What is on this page stays as it is.";
const NOT_LET_IN = "An address of Tailrace lets one browser in, once. This browser has not been let in, or its session is over.";

/** @type {Promise<boolean> | null} */
let asked = null;

/** Ask, once for all who want to know. @param {any} problem the refusal @returns {Promise<boolean>} whether to try again */
export function ask(problem) {
  asked ??= way(problem ?? {}).finally(() => (asked = null));
  return asked;
}

/** @param {{signIn?: string, command?: string, custom?: boolean}} problem */
async function way({ signIn, command, custom }) {
  if (custom && !signIn) return false; // the page cannot know how; what it was told is shown
  return signIn ? askToSignIn(signIn) : command ? tellCommand(command) : askForSecret();
}

function askToSignIn(address) {
  const done = new URL("signed-in.html", location.href).pathname;
  const open = () => window.open(`${address}?to=${encodeURIComponent(done)}`, "_blank", "noopener");
  const enter = h("button.button.primary", { type: "button", onclick: open, "data-testid": "sign-in" }, "Sign in");
  return wait([h("p", WORDS)], enter);
}

function tellCommand(command) {
  const how = h("p", "Run ", h("code", command), " in Tailrace's folder, and open in this browser what it prints. This page then goes on.");
  const copy = h("button.button.primary", { type: "button", onclick: () => copyText(copy, command) }, "Copy the command");
  return wait([h("p", NOT_LET_IN), how], copy);
}

/** Wait until the user has signed in in another window. @returns {Promise<boolean>} whether that has happened */
async function wait(words, enter) {
  if (await isSignedIn()) return true; // meanwhile
  const later = h("button.button", { type: "button", onclick: () => dialog.close() }, "Not now");
  const dialog = h("dialog.dialog", { ariaLabel: "Sign in" }, ...words, h("div.actions", later, enter));
  const { promise, resolve } = withResolvers();
  const look = async () => (await isSignedIn()) && resolve(true);
  on(channel, "message", look);
  on(window, "focus", look);
  on(dialog, "close", () => resolve(false));
  document.body.append(dialog);
  dialog.showModal();
  enter.focus();
  const answer = await promise;
  channel.removeEventListener("message", look);
  window.removeEventListener("focus", look);
  dialog.remove();
  return answer;
}

function withResolvers() {
  /** @type {any} */ let resolve;
  const promise = /** @type {Promise<boolean>} */ (new Promise((settle) => (resolve = settle)));
  return { promise, resolve };
}

const isSignedIn = () => fetch("api/auth/me", { cache: "no-store" }).then(({ ok }) => ok, () => false);

/** It is kept in a cookie, because EventSource sends no headers. */
async function askForSecret() {
  const secret = prompt("The access secret of this gateway:");
  if (secret) document.cookie = `tailrace-secret=${encodeURIComponent(secret)}; path=/; SameSite=Strict; Secure`;
  return Boolean(secret);
}
