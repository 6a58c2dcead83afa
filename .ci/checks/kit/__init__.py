"""What the checks share: the program, the simulated account, object stores and readers."""
