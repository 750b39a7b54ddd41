"""The sweeper: finds the tasks that nobody runs and nobody looks at, and has their agents look."""
