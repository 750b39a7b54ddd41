"""All of Tailrace on one machine, without Docker. Never deployed."""
