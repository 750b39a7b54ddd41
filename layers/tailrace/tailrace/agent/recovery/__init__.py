"""How an attempt resumes a run that an earlier attempt started."""
