"""A gateway that dies at one of the writes with which it deletes a conversation (`dies_at_a_write`)."""

from __future__ import annotations

from gateway.app import create_app
from tailrace.log.conversations.sqlite import SQLiteConversations
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.dies_at_a_write import die_at

die_at(SQLiteConversations, "begin_delete", "delete")
die_at(SQLiteLog, "delete_head", "delete_events")
app = create_app()
