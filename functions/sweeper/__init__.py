"""The sweeper: finds orphaned tasks and undelivered notifications, and dispatches them to their agents."""
