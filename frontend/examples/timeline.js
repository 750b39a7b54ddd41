/** A task on a page of one's own: timeline.html?task=ID. */

import { ProgressTimeline } from "../progress-timeline.js";

const timeline = new ProgressTimeline("container-id");
const source = await timeline.connectToTask(new URLSearchParams(location.search).get("task"));
source.addEventListener("progress", ({ detail }) => {
  const [part] = detail.result.statusUpdate.status.message.parts;
  document.getElementById("progress").textContent = part.text;
});
