"""`labrunner` and `python -m labrunner`."""

import gc
import sys

_COLLECT_AFTER = 10_000
"""Objects made before the collector looks for cycles. With Python's own 700 that is a seventh of the time to the first
frame: what is imported is many objects, and none of them garbage."""


def main() -> int:
    """Run the command line given in `sys.argv` and return its exit code (`labrunner.errors.ExitCode`)."""
    gc.set_threshold(_COLLECT_AFTER)
    from labrunner.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
