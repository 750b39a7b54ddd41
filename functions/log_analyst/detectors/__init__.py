"""Finds what changed: templates of log lines that are new, rare, bursting or gone."""
