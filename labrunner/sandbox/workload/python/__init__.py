"""A Python of pods: syntax trees are walked here, never executed by the host's interpreter. May import `machine`."""
