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

for (const [step, approved] of [["approved", true], ["denied", false]]) {
  const mail = chatOf(step, stock);
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
tell("writing", slow.shown);
await Promise.all([sent, resumed]);
tell("written", { first: slow.shown, second: second.shown });
await second.resumeStream();
tell("nothing to resume", second.shown);

// Through a proxy that cuts each connection after some bytes.
const cut = chatOf("cut", new TailraceChatTransport({ api: `${proxied}/api/chat`, headers }));
await cut.sendMessage({ text: "look river" });
tell("cut", cut.shown);

const stopped = chatOf("stopped", ours);
const stopping = stopped.sendMessage({ text: "slow" });
await until(stopped, isWriting);
await stopped.stop();
await stopping;
tell("stopped", stopped.shown);

const chats = ["words", "looking", "approved", "denied", "asking", "nobodys"];
const stored = await Promise.all(chats.map((id) => ours.messages(id)));
tell("stored", Object.fromEntries(chats.map((id, place) => [id, stored[place]])));

const refused = chatOf("refused", new TailraceChatTransport({ api: `${url}/api/chat` }));
await refused.sendMessage({ text: "hello" });
tell("refused", refused.shown);
