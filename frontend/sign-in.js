/**
 * Asks who the user is: at the issuer, in a window of its own, so that nothing on this page is lost; or for the shared
 * secret, where the gateway has no issuer.
 */

import { h, on } from "./dom.js";

/** Tells all windows of this page that somebody has signed in here, or out. */
const channel = new BroadcastChannel("tailrace-sign-in");
const WORDS = "You are not signed in, or your session is over. What is on this page stays as it is.";

/** @type {Promise<boolean> | null} */
let asked = null;

/** Ask, once for all who want to know. @param {any} problem the refusal @returns {Promise<boolean>} whether to try again */
export function ask(problem) {
  asked ??= (problem?.signIn ? askToSignIn(problem.signIn) : askForSecret()).finally(() => (asked = null));
  return asked;
}

async function askToSignIn(address) {
  if (await isSignedIn()) return true; // in another window, meanwhile
  const done = new URL("signed-in.html", location.href).pathname;
  const open = () => window.open(`${address}?to=${encodeURIComponent(done)}`, "_blank", "noopener");
  const enter = h("button.button.primary", { type: "button", onclick: open, "data-testid": "sign-in" }, "Sign in");
  const later = h("button.button", { type: "button", onclick: () => dialog.close() }, "Not now");
  const dialog = h("dialog.dialog", { ariaLabel: "Sign in" }, h("p", WORDS), h("div.actions", later, enter));
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
