"""A2A: the protocol's types, its client, and in `server` the server."""
