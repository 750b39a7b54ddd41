"""Earlier versions of A2A."""
