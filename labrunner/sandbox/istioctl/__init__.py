"""`istioctl` on the learner's PATH: reads the sandbox through its Kubernetes API, like the real one, and prints alike.

`analysis` holds Istio's analyzers; the other modules are one command group each. Imports nothing of labs.
"""
