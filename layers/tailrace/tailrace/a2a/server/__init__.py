"""The A2A server: operations, in both bindings."""
