"""The sweeper: finds orphaned tasks and undelivered notifications, and dispatches them to their agents.

It also goes on with deletions of conversations that were interrupted.
"""
