"""The resume extension and the browser's stream (docs/PROTOCOL.md) as scenarios that any server can be put to."""
