"""From files and pasted lines to entries with a time, a level and a template."""
