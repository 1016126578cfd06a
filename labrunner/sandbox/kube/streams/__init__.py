"""Subresources of pods that speak with running containers: log, exec, attach, portforward, proxy."""
