/** Which turns of a conversation a page shows: the newest ones, back to one that it has or that its address names. */

import { getConversation } from "./api.js";

export const PAGE_SIZE = 10; // turns
const MAX_PAGE_SIZE = 100; // of the gateway
const MAX_NEW = 100; // turns that another window may have added, beside those on the page
const MAX_BACK = 2_000; // turns, back to the one that the address names

/**
 * @param {{contextId?: string, agent?: string, taskId?: string}} place @param {string[]} known ids of the turns on the page
 * @returns {Promise<{ids: string[], page: any}>} the oldest first, and the last answer of the gateway
 */
export async function newestTurns(place, known) {
  const { taskId } = place;
  const ids = /** @type {string[]} */ ([]);
  let page = /** @type {any} */ ({});
  const isWanting = () => {
    if (known.length) return ids.length < MAX_NEW && !ids.some((id) => known.includes(id));
    return !ids.length || (taskId && ids.length < MAX_BACK && !ids.includes(taskId));
  };
  do {
    const pageSize = ids.length && taskId ? MAX_PAGE_SIZE : PAGE_SIZE;
    page = await getConversation(place, { pageSize, pageToken: page.nextPageToken });
    ids.unshift(...page.tasks.map(({ id }) => id).reverse());
  } while (page.nextPageToken && isWanting());
  return { ids, page };
}
