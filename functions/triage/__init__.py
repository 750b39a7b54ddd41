"""What the three triage agents share: alert, findings, CPU budget, optional model, words and Markdown of reports."""
