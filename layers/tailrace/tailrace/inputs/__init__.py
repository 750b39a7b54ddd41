"""A user's messages, decoded into text, data and files."""
