"""The orchestrator: routes an alert to specialists over A2A and writes the report."""
