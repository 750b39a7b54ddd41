"""What an agent's author calls inside a graph."""
