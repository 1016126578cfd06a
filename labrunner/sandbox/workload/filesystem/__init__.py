"""A container's files, all in memory: nodes, paths, mounts. Knows nothing of processes or of Kubernetes."""
