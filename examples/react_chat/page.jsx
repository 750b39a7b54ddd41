/** A chat of the AI SDK with the default agent of `make run`, for docs/FRONTENDS.md. Build it, and open /react_chat/:
 *
 *     cd examples/react_chat && npm ci && npm run build
 */
import { useChat } from "@ai-sdk/react";
import { isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { createRoot } from "react-dom/client";
import { TailraceChatTransport } from "tailrace/chat-transport";

location.hash ||= crypto.randomUUID(); // so that the address shows this chat again
const id = location.hash.slice(1);
const transport = new TailraceChatTransport();
const messages = await transport.messages(id);
const sendAutomaticallyWhen = lastAssistantMessageIsCompleteWithApprovalResponses;

function Chat() {
  const chat = useChat({ id, messages, transport, resume: true, sendAutomaticallyWhen });
  const send = (event) => {
    event.preventDefault();
    chat.sendMessage({ text: event.target.text.value });
    event.target.reset();
  };
  const decide = ({ approval }, approved) => chat.addToolApprovalResponse({ id: approval.id, approved });
  const shown = (part, place) => {
    if (part.type === "text") return <p key={place}>{part.text}</p>;
    if (part.type === "data-question") return <p key={place}>{part.data.question}</p>; // the next message answers it
    if (!isToolUIPart(part)) return null;
    const asks = part.state === "approval-requested" && [true, false].map((approved) => (
      <button key={approved} onClick={() => decide(part, approved)}>{approved ? "Approve" : "Deny"}</button>
    ));
    return <p key={place} className="tool">{part.toolName} {JSON.stringify(part.input)}: {part.state} {asks}</p>;
  };
  return <main>
    {chat.messages.map(({ id, role, parts, metadata }) => (
      <section key={id} className={role}>{parts.map(shown)}{metadata?.error && <p role="alert">{metadata.error}</p>}</section>
    ))}
    <form onSubmit={send}><input name="text" aria-label="Message" autoFocus /><button>Send</button></form>
    <p role="status">{chat.error?.message ?? chat.status}</p>
    <button onClick={chat.stop}>Stop</button>
  </main>;
}

createRoot(document.getElementById("chat")).render(<Chat />);
