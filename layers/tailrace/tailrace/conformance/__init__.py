"""Is an A2A server a resumable one? docs/PROTOCOL.md as scenarios, and what plays them against any URL.

It speaks plain HTTP and uses nothing of the library, so that it judges it as it does any other server. README.md has
the agent's vocabulary and the words of a scenario.
"""
