"""A2A 0.3: requests and events are converted to 1.0 and back."""
