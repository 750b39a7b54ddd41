"""The sweeper: finds the tasks that nobody runs, and the webhooks that nobody tells, and has their agents look."""
