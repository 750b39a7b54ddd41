"""The port of a URL that names none, by its scheme."""

DEFAULT_PORTS = {"http": 80, "https": 443}
