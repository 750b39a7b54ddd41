"""The servers that are measured beside the gateway: our agent, and the peers. Each is a process of its own."""
