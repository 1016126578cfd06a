"""The embedded world: a Kubernetes API (later a mesh and Azure) on loopback, in a process of its own.

Imports nothing from lab, run, check or target. Its public door is `labrunner.sandbox.instance`.
"""
