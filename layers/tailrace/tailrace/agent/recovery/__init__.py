"""How an attempt goes on with a run that another attempt began."""
