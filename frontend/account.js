/** Who is signed in, and the way out. Nothing is shown where nobody has to sign in, as on one's own machine. */

import { post } from "./api.js";
import { byId, h, on } from "./dom.js";

const channel = new BroadcastChannel("tailrace-sign-in");

/** Nothing of who was signed in stays on the page, in any window. */
const leave = () => location.assign("./");

async function signOut(everywhere) {
  await post("api/auth/logout", JSON.stringify({ everywhere })).catch(() => {}); // the session may be over
  channel.postMessage("out");
  leave();
}

let shown = "";

async function show() {
  const answer = await fetch("api/auth/me", { cache: "no-store" });
  const { id, name, kind, secretFile = "" } = answer.ok ? await answer.json() : {};
  if (shown && id && id !== shown) return leave(); // somebody else has signed in
  shown = id ?? shown;
  byId("sidebar").querySelector(".account")?.remove();
  document.body.dataset.secretFile = secretFile;
  if (kind !== "session" || secretFile) return;
  const out = (words, everywhere) => h("button.link", { type: "button", onclick: () => signOut(everywhere) }, words);
  const ways = h("p", out("Sign out", false), " ", out("Sign out on all devices", true));
  byId("sidebar").append(h("section.account", { ariaLabel: "Account", "data-testid": "account" }, h("p.aside", `Signed in as ${name}`), ways));
}

on(channel, "message", ({ data }) => (data === "out" ? leave() : show()));
await show();
