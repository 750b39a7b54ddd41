"""What changed: templates that are new, rare, bursting or gone."""
