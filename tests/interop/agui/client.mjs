// AG-UI's official client talks to an agent of the gateway: node client.mjs URL STEP. Each step tells what the client has
// then as a line of JSON. TailraceHttpAgent is the one of ours, `HttpAgent` AG-UI's own.
import { HttpAgent } from "@ag-ui/client";
import { TailraceHttpAgent } from "./agui-agent.js";

const [url, step, threadId = crypto.randomUUID()] = process.argv.slice(2);
const headers = { "x-test-owner": "alice" };

function tell(step, agent, more = {}) {
  const messages = agent.messages.map(({ role, content, toolCalls, name }) => ({ role, content, name, calls: toolCalls }));
  process.stdout.write(`${JSON.stringify({ step, messages, state: agent.state, ...more })}\n`);
}

function say(agent, content) {
  agent.messages.push({ id: crypto.randomUUID(), role: "user", content });
}

// What a run ended with, and the types of its events.
async function running(run, onText = () => {}) {
  const seen = { types: [], outcome: null, custom: [] };
  await run({
    onEvent: ({ event }) => {
      seen.types.push(event.type);
      if (event.type === "TEXT_MESSAGE_START") onText();
      if (event.type === "CUSTOM") seen.custom.push(event.name);
      if (event.type === "RUN_FINISHED") seen.outcome = event.outcome;
      if (event.type === "RUN_ERROR") seen.outcome = { type: "error", message: event.message };
    },
    onRunFailed: ({ error }) => {
      seen.failed = String(error);
      return { stopPropagation: true };
    },
  });
  return seen;
}

const steps = {
  // A conversation by AG-UI's own client, and a question that it answers.
  async conversation() {
    const agent = new HttpAgent({ url, threadId, headers });
    say(agent, "hello");
    tell("hello", agent, await running((told) => agent.runAgent({}, told)));
    say(agent, "ask");
    const asked = await running((told) => agent.runAgent({}, told));
    tell("asked", agent, asked);
    const [{ id }] = asked.outcome.interrupts;
    const resume = [{ interruptId: id, status: "resolved", payload: "payments" }];
    tell("answered", agent, await running((told) => agent.runAgent({ resume }, told)));
    say(agent, "ask");
    const again = await running((told) => agent.runAgent({}, told));
    const abandon = [{ interruptId: again.outcome.interrupts[0].id, status: "cancelled" }];
    tell("abandoned", agent, await running((told) => agent.runAgent({ resume: abandon }, told)));
  },
  async run() {
    const agent = new TailraceHttpAgent({ url, threadId, headers });
    say(agent, "hello");
    const run = await running(
      (told) => agent.runAgent({}, told),
      () => tell("writing", agent),
    );
    tell("run", agent, run);
    const other = new TailraceHttpAgent({ url, threadId, headers }).clone();
    tell("joined", other, await running((told) => other.connectAgent({}, told)));
    const nobody = new TailraceHttpAgent({ url, threadId: "unknown", headers });
    tell("unknown", nobody, await running((told) => nobody.connectAgent({}, told)));
  },
  // Another client joins in the middle of a run.
  async join() {
    const agent = new TailraceHttpAgent({ url, threadId, headers });
    say(agent, "slow");
    const first = running((told) => agent.runAgent({}, told));
    while (agent.messages.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    const other = new TailraceHttpAgent({ url, threadId, headers });
    const second = running((told) => other.connectAgent({}, told));
    while (other.messages.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    tell("joined", other);
    await first;
    tell("both", other, { ...(await second), same: JSON.stringify(agent.messages) === JSON.stringify(other.messages) });
    say(agent, "slow");
    const cancelled = running((told) => agent.runAgent({}, told));
    while (agent.messages.length < 4) await new Promise((resolve) => setTimeout(resolve, 20));
    await agent.cancelRun();
    tell("cancelled", agent, await cancelled);
    say(agent, "slow");
    const unbegun = running((told) => agent.runAgent({}, told));
    await agent.cancelRun();
    tell("cancelled at once", agent, await unbegun);
    await new TailraceHttpAgent({ url }).cancelRun().catch((error) => tell("no run", agent, { error: error.message }));
  },
  // Answers that are no stream, to the first request and in the middle of a run.
  async answers() {
    const page = async () => new Response("<html>", { headers: { "content-type": "text/html" } });
    const limit = async () => new Response("{}", { status: 429 });
    const cut = async (...request) => {
      const whole = await fetch(...request);
      const reader = whole.body.getReader();
      const { value } = await reader.read();
      reader.cancel();
      return new Response(value, { headers: whole.headers });
    };
    for (const [step, answers] of [["page", [page]], ["limited", [cut, limit, page]]]) {
      const agent = new TailraceHttpAgent({ url, headers, fetch: (...request) => (answers.shift() ?? fetch)(...request) });
      say(agent, "hello");
      tell(step, agent, await running((told) => agent.runAgent({}, told)));
    }
  },
};
await steps[step]();
