"""The closed set of programs that can run in containers, by name.

A program is `async def main(process) -> int` in one of the modules here, registered with `@program(name)`. Which image
has which of them is said in `labrunner.sandbox.workload.rootfs`. Nothing else can be started in a pod.
"""
