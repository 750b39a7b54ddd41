"""Events on their way: from a run to the log, and from the log to its readers."""
