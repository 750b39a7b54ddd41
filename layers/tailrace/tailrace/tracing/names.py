"""The names of our spans, their attributes and our metrics, in one place.

Those of OpenTelemetry's semantic conventions are for generative AI (docs/gen-ai/gen-ai-spans.md, gen-ai-agent-spans.md)
and for A2A (docs/gen-ai/a2a.md), both in github.com/open-telemetry/semantic-conventions-genai, of status Development.
What no convention has begins with `tailrace.`. None of them has text of a user, a model or a tool.
"""

from __future__ import annotations

from typing import Final

# The instrumentation scope of all of it.
SCOPE: Final = "tailrace"

# Spans. A name continues with what it is about: `chat gpt-5`.
TASK: Final = "task"
NODE: Final = "node"
CHAT: Final = "chat"
TEXT_COMPLETION: Final = "text_completion"
EXECUTE_TOOL: Final = "execute_tool"
INVOKE_AGENT: Final = "invoke_agent"

# Attributes of conventions.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL: Final = "gen_ai.tool.name"
TOOL_CALL: Final = "gen_ai.tool.call.id"
AGENT: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
METHOD: Final = "a2a.method.name"
PROTOCOL_VERSION: Final = "a2a.protocol.version"
TASK_ID: Final = "a2a.task.id"
TASK_STATE: Final = "a2a.task.state"
SERVER: Final = "server.address"
PORT: Final = "server.port"
URL: Final = "url.full"
ERROR: Final = "error.type"
OTHER_ERROR: Final = "_OTHER"

# Attributes of our own.
ATTEMPT: Final = "tailrace.attempt"
REASON: Final = "tailrace.attempt.reason"  # why there is another attempt: `worker lost`, `worker stopped` or `handoff`
END: Final = "tailrace.attempt.end"  # how it ended: `state`, `handoff`, `sleep`, `stopped` or `lost`
NODE_NAME: Final = "tailrace.node.name"
STEP: Final = "tailrace.step"  # as in the events of the step
INTERRUPTED: Final = "tailrace.interrupted"  # the node or tool has asked the user, or has handed over
CANCELED: Final = "tailrace.canceled"
REPEATED: Final = "tailrace.task.repeated"  # the message was sent before, and had begun its task

# Metrics.
OPEN_STREAMS: Final = "tailrace.streams.open"
LAG: Final = "tailrace.delivery.lag"
TAKEOVERS: Final = "tailrace.takeovers"
