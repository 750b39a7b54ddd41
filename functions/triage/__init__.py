"""What the three triage agents share: the alert, the findings, the optional model."""
