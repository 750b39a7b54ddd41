"""The orchestrator: asks specialists about an alert over A2A and writes one report."""
