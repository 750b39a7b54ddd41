"""A2A 0.3: its requests and events to 1.0 and back."""
