"""Reads files and pasted lines into entries with a time, a level and a template."""
