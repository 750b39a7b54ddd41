"""The gateway: the only thing a browser talks to. Tasks in, streams out, nothing of LangGraph."""
