"""Conversations: which task has a context, and from which checkpoints the context's next task starts."""

from tailrace.log.conversations.base import Conversation, ConversationPage, Conversations, Entry

__all__ = ["Conversation", "ConversationPage", "Conversations", "Entry"]
