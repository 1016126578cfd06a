"""What happens on a node: images are pulled, containers start, are probed, fail, are restarted and end.

Nothing really runs here; what a container does is judged by a `runtime.ContainerRuntime`.
"""
