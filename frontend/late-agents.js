/** Agents that do not answer when the page is loaded: they are asked for again until they do. */

import { listAgents } from "./api.js";
import { plainName } from "./format.js";

const FIRST_WAIT = 2_000; // ms
const LONGEST_WAIT = 30_000; // ms; some agents never answer

/**
 * Say why the agent `cards[chosen]` does not answer, and read the list again while the composer is on the page and a card has an error.
 * A card that is different takes the old one's place in `cards`, which other views have too, and `changed` gets its index.
 * @param {any[]} cards @param {number} chosen @param {import("./composer.js").Composer} composer
 * @param {(at: number) => void} changed
 */
export async function awaitAgents(cards, chosen, composer, changed) {
  const say = ({ name, error }) =>
    error && composer.refuse(`${name ? plainName(name) : "The default agent"} does not answer. ${error}`);
  say(cards[chosen]);
  for (let wait = FIRST_WAIT; cards.some(({ error }) => error); wait = Math.min(1.5 * wait, LONGEST_WAIT)) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (!composer.element.isConnected) return;
    if (document.hidden) continue;
    const { agents = [] } = await listAgents().catch(() => ({}));
    for (const [at, { name, error }] of cards.entries()) {
      const now = name ? agents.find((each) => each.name === name) : agents[at];
      if (!error || !now || now.error === error) continue;
      cards[at] = now;
      changed(at);
      if (at !== chosen) continue;
      composer.clearNotice();
      say(now);
    }
  }
}
