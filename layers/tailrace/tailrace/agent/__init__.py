"""Serving a LangGraph graph as an A2A agent."""
