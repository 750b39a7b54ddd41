"""Vercel's AI SDK at the gateway: its UI messages come in, and a task's events go out as its UI message stream."""
