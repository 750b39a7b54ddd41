"""metric_analyst: finds what changed in metrics, and says nothing when nothing did."""
