// An agent on the official JavaScript SDK's server, for our client: node server.mjs URL, where URL is how it is reached.
// It listens on a free port, which it prints. `slow` in a message waits for GET /open, `ask` asks a question.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { AgentCard, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent } from "@a2a-js/sdk";
import { AgentEvent, DefaultRequestHandler, InMemoryTaskStore, JsonRpcTransportHandler, ServerCallContext } from "@a2a-js/sdk/server";

const [publicUrl] = process.argv.slice(2);
let open;
const opened = new Promise((resolve) => (open = resolve));

const executor = {
  async execute({ taskId, contextId, userMessage, task }, bus) {
    const text = userMessage.parts.map((part) => part.content.value).join("");
    const status = (state, words) => {
      const message = words && { messageId: randomUUID(), role: "ROLE_AGENT", parts: [{ text: words }], taskId, contextId };
      bus.publish(AgentEvent.statusUpdate(TaskStatusUpdateEvent.fromJSON({ taskId, contextId, status: { state, message } })));
    };
    const say = (words, append) => {
      const artifact = { artifactId: "response", name: "response", parts: [{ text: words }] };
      bus.publish(AgentEvent.artifactUpdate(TaskArtifactUpdateEvent.fromJSON({ taskId, contextId, artifact, append })));
    };
    const begun = { id: taskId, contextId, status: { state: "TASK_STATE_SUBMITTED" }, history: [] };
    bus.publish(AgentEvent.task(task ?? Task.fromJSON(begun)));
    if (!task) {
      status("TASK_STATE_WORKING", "Half of it.");
      say("Hello, ", false);
      if (text.includes("slow")) await opened;
      if (text.includes("ask")) {
        status("TASK_STATE_INPUT_REQUIRED", "Which service?");
        return bus.finished();
      }
    }
    say("world.", true);
    status("TASK_STATE_COMPLETED");
    bus.finished();
  },
  async cancelTask() {},
};

const card = AgentCard.fromJSON({
  name: "js", description: "Says hello, on the JavaScript SDK.", version: "1",
  supportedInterfaces: [{ url: publicUrl, protocolBinding: "JSONRPC", protocolVersion: "1.0" }],
  capabilities: { streaming: true }, defaultInputModes: ["text/plain"], defaultOutputModes: ["text/plain"], skills: [],
});
const rpc = new JsonRpcTransportHandler(new DefaultRequestHandler(card, new InMemoryTaskStore(), executor));

// What the SDK's own handler for Express does, without Express.
async function answer(request, response) {
  const json = (value, status = 200) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  if (request.url === "/.well-known/agent-card.json") return json(AgentCard.toJSON(card));
  if (request.url === "/open") return open(), json({});
  if (request.method !== "POST") return json({}, 404);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = JSON.parse(Buffer.concat(chunks).toString());
  const failed = (error) => ({ jsonrpc: "2.0", id: body.id, error: JsonRpcTransportHandler.mapToJSONRPCError(error) });
  try {
    const answered = await rpc.handle(body, new ServerCallContext({ requestedVersion: "1.0" }));
    if (!answered[Symbol.asyncIterator]) return json(answered);
    for await (const event of answered) {
      if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
  } catch (error) {
    if (response.headersSent) response.end();
    else json(failed(error));
  }
}

const server = createServer(answer).listen(0, "127.0.0.1", () => console.log(server.address().port));
