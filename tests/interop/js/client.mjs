// The official JavaScript SDK's client drives the agent at a URL: node client.mjs URL TRANSPORT. Each step tells what
// it saw as a line of JSON; `watching` waits for nobody, but the task it watches does.
import { randomUUID } from "node:crypto";
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory } from "@a2a-js/sdk/client";

const [url, transport] = process.argv.slice(2);
// As the environment of a machine has it. Cards need none.
const authorization = process.env.TOKEN ? { Authorization: `Bearer ${process.env.TOKEN}` } : {};
const fetchImpl = (to, options = {}) => fetch(to, { ...options, headers: { ...options.headers, ...authorization } });
const legacyCompat = { enabled: transport === "0.3" };
const factories = { "HTTP+JSON": new RestTransportFactory({ legacyCompat, fetchImpl }) };
const factory = new ClientFactory({
  transports: [factories[transport] ?? new JsonRpcTransportFactory({ legacyCompat, fetchImpl })],
  cardResolver: new DefaultAgentCardResolver({ legacyCompat }),
});

const STATES = ["unspecified", "submitted", "working", "completed", "failed", "canceled", "input-required"];
const ROLE_USER = 1;

function tell(step, what) {
  process.stdout.write(`${JSON.stringify({ step, ...what })}\n`);
}

function asking(text, fields = {}, configuration = undefined) {
  const part = { content: { $case: "text", value: text }, metadata: undefined, filename: "", mediaType: "" };
  const message = {
    messageId: randomUUID(), contextId: "", taskId: "", role: ROLE_USER, parts: [part],
    metadata: undefined, extensions: [], referenceTaskIds: [], ...fields,
  };
  return { tenant: "", message, configuration, metadata: undefined };
}

function stateOf(event) {
  const { $case, value } = event.payload;
  return $case === "task" || $case === "statusUpdate" ? STATES[value.status.state] : null;
}

async function read(stream, seen = async () => {}) {
  const told = { cases: [], states: [], report: "", id: "" };
  for await (const event of stream) {
    const { $case, value } = event.payload;
    told.cases.push($case);
    if (stateOf(event)) told.states.push(stateOf(event));
    told.id ||= $case === "task" ? value.id : value.taskId;
    if ($case === "artifactUpdate" && value.artifact.name === "response") {
      const text = value.artifact.parts.map((part) => part.content.value).join("");
      told.report = value.append ? told.report + text : text;
    }
    await seen(event, told);
  }
  return told;
}

// A card of 0.3 has its own fields only; ours has both, and the SDK would take 1.0.
async function oldClient() {
  const { supportedInterfaces, ...card } = await (await fetch(new URL(".well-known/agent-card.json", url))).json();
  return factory.createFromAgentCard(new DefaultAgentCardResolver({ legacyCompat }).normalizeAgentCard(card));
}

const client = transport === "0.3" ? await oldClient() : await factory.createFromUrl(url);
tell("card", { name: (await client.getAgentCard()).name, version: client.protocolVersion });

const sent = await client.sendMessage(asking("hello"));
tell("send", { state: STATES[sent.status.state], artifacts: sent.artifacts.map((each) => each.name) });
tell("get", { same: (await client.getTask({ tenant: "", id: sent.id })).id === sent.id });
tell("stream", await read(client.sendMessageStream(asking("hello"))));

const asked = await read(client.sendMessageStream(asking("ask")));
tell("asked", asked);
tell("replied", await read(client.sendMessageStream(asking("payments", { taskId: asked.id }))));

let canceled = false;
const slow = await read(client.sendMessageStream(asking("slow")), async (event, told) => {
  if (event.payload.$case === "artifactUpdate" && !canceled) {
    canceled = true;
    await client.cancelTask({ tenant: "", id: told.id, metadata: undefined });
  }
});
tell("canceled", slow);

const begun = await client.sendMessage(asking("slow", {}, { acceptedOutputModes: [], returnImmediately: true }));
tell("watched", await read(client.resubscribeTask({ tenant: "", id: begun.id }), async (_, told) => {
  if (told.cases.length === 1) tell("watching", {});
}));

const config = {
  tenant: "", id: "mine", taskId: asked.id, url: "https://example.com/", token: "t",
  authentication: { scheme: "Bearer", credentials: "c" },
};
const named = { tenant: "", taskId: asked.id, id: "mine" };
await client.createTaskPushNotificationConfig(config);
const got = await client.getTaskPushNotificationConfig(named);
await client.deleteTaskPushNotificationConfig(named);
const left = await client.listTaskPushNotificationConfig({ tenant: "", taskId: asked.id, pageSize: 0, pageToken: "" });
tell("push", { url: got.url, scheme: got.authentication?.scheme, left: left.configs.length });

for (const [name, act] of [
  ["unknown", () => client.getTask({ tenant: "", id: "no-such-task" })],
  ["finished", () => client.cancelTask({ tenant: "", id: sent.id, metadata: undefined })],
]) {
  try {
    await act();
    tell(name, { error: null });
  } catch (error) {
    tell(name, { error: error.name || error.constructor.name, message: error.message });
  }
}
