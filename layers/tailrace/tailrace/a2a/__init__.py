"""A2A: the protocol as types, the client, and in `server` what answers it."""
