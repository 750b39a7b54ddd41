// The AI SDK's own chat drives the gateway at a URL: node chat.mjs URL. Each step tells what it saw as a line of JSON.
import { AbstractChat, DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { TailraceChatTransport } from "tailrace/chat-transport";

const [url, proxied] = process.argv.slice(2);
const headers = { "x-test-owner": "alice" };
const stock = new DefaultChatTransport({ api: `${url}/api/chat`, headers });
const ours = new TailraceChatTransport({ api: `${url}/api/chat`, headers });

const tell = (step, what) => process.stdout.write(`${JSON.stringify({ step, ...what })}\n`);

class Chat extends AbstractChat {
  constructor({ messages = [], ...init }) {
    const state = {
      status: "ready",
      error: undefined,
      messages,
      pushMessage: (message) => (state.messages = [...state.messages, message]),
      popMessage: () => (state.messages = state.messages.slice(0, -1)),
      replaceMessage: (place, message) => (state.messages = state.messages.with(place, structuredClone(message))),
      snapshot: (value) => structuredClone(value),
    };
    super({ ...init, state });
  }

  get shown() {
    return { status: this.status, error: this.error?.message, messages: this.messages };
  }
}

const chatOf = (id, transport, more = {}) =>
  new Chat({ id, transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses, ...more });

async function until(chat, condition) {
  while (!condition(chat)) await new Promise((resolve) => setTimeout(resolve, 5));
}

const approvals = (chat) => chat.lastMessage.parts.filter((part) => part.state === "approval-requested");
const isWriting = ({ lastMessage }) => lastMessage?.role === "assistant" && lastMessage.parts.some(({ text }) => text?.endsWith("flows"));

const words = chatOf("words", ours);
await words.sendMessage({ text: "hello" });
await words.sendMessage({ text: "again" });
tell("conversation", words.shown);
await words.sendMessage({ text: "hi", messageId: words.messages[0].id });
tell("edited", words.shown);
await words.regenerate();
tell("regenerated", words.shown);
await words.sendMessage({ text: "then" });
tell("continued", words.shown);

const looking = chatOf("looking", stock);
await looking.sendMessage({ text: "look mill" });
tell("tool", looking.shown);

for (const [step, approved, transport] of [["approved", true, stock], ["denied", false, ours]]) {
  const mail = chatOf(step, transport);
  await mail.sendMessage({ text: "mail bob" });
  const asked = structuredClone(mail.shown);
  await mail.addToolApprovalResponse({ id: approvals(mail)[0].approval.id, approved, reason: approved ? undefined : "No." });
  await until(mail, ({ status, lastMessage }) => status === "ready" && lastMessage.metadata.state === "completed");
  tell(step, { asked, ...mail.shown });
}

const asking = chatOf("asking", stock);
await asking.sendMessage({ text: "ask" });
const asked = structuredClone(asking.shown);
const [question] = asking.lastMessage.parts.filter(({ type }) => type === "data-question");
await asking.sendMessage({ text: "blue" });
tell("unfit", asking.shown);
asking.messages = asking.messages.slice(0, -1);
await asking.sendMessage({ parts: [{ type: "data-answers", data: { [question.id]: "red" } }] });
tell("answered", { asked, ...asking.shown });

// In the middle of an answer: a second page resumes it, and each of the two gets all of it.
const slow = chatOf("slow", ours);
const sent = slow.sendMessage({ text: "slow" });
await until(slow, isWriting);
const second = chatOf("slow", stock, { messages: slow.messages.slice(0, 1) });
const resumed = second.resumeStream();
await until(second, isWriting);
const late = new TailraceChatTransport({ api: `${url}/api/chat`, headers });
const half = await late.messages("slow");
tell("writing", slow.shown);
await Promise.all([sent, resumed]);
tell("written", { first: slow.shown, second: second.shown });
await second.resumeStream();
tell("nothing to resume", second.shown);
// A page that was loaded in the middle, and resumes when all is over.
const third = chatOf("slow", late, { messages: half });
await third.resumeStream();
tell("late", { half, ...third.shown });

// Through a proxy that cuts each connection after some bytes.
const cut = chatOf("cut", new TailraceChatTransport({ api: `${proxied}/api/chat`, headers }));
await cut.sendMessage({ text: "look river" });
tell("cut", cut.shown);

// The same through the page's own server, with the route in docs/FRONTENDS.md, whose token is an owner here.
const direct = globalThis.fetch;
process.env.TAILRACE_URL = proxied;
const { GET, POST } = await import("./route.mjs");
globalThis.fetch = (address, init) => {
  if (`${address}`.startsWith("http://page/")) return (init.method === "POST" ? POST : GET)(new Request(address, init));
  const { authorization, ...others } = init.headers;
  return direct(address, { ...init, headers: authorization ? { ...others, ...headers } : others });
};
const routed = chatOf("routed", new TailraceChatTransport({ api: "http://page/api/chat" }));
await routed.sendMessage({ text: "look stream" });
tell("routed", routed.shown);
globalThis.fetch = direct;

const stopped = chatOf("stopped", ours);
const stopping = stopped.sendMessage({ text: "slow" });
await until(stopped, isWriting);
await stopped.stop();
await stopping;
const cancelled = structuredClone(stopped.shown);
await stopped.sendMessage({ text: "go on" }); // at once
tell("stopped", { cancelled, ...stopped.shown });

const chats = ["words", "looking", "approved", "denied", "asking", "nobodys"];
const stored = await Promise.all(chats.map((id) => ours.messages(id)));
tell("stored", Object.fromEntries(chats.map((id, place) => [id, stored[place]])));

const refused = chatOf("refused", new TailraceChatTransport({ api: `${url}/api/chat` }));
await refused.sendMessage({ text: "hello" });
tell("refused", refused.shown);

const wrong = chatOf("wrong", ours);
await wrong.sendMessage({ text: "hello" }, { body: { agent: "nobody" } });
tell("wrong", wrong.shown);

// A server that has no place yet for who comes back, as it does not know of the cut; then one that has nothing any more.
const chunk = (id, what) => `id: ${id}\ndata: ${JSON.stringify(what)}\n\n`;
const open = [{ type: "start", messageId: "m" }, { type: "start-step" }, { type: "text-start", id: "t" }].map((each) => chunk("x:1", each));
const answers = [
  () => new Response(open.join("")),
  () => Response.json({ detail: "1 streams of yours are open." }, { status: 429 }),
  () => new Response(`${chunk("x:2", { type: "text-delta", id: "t", delta: "whole" })}data: [DONE]\n\n`),
  () => new Response(": nothing yet\n\n"),
  () => new Response(null, { status: 204 }),
];
globalThis.fetch = async () => answers.shift()();
const busy = chatOf("busy", ours);
await busy.sendMessage({ text: "hello" });
tell("busy", busy.shown);
await busy.resumeStream();
tell("over", busy.shown);
