"""`labrunner` and `python -m labrunner`."""

import sys


def main() -> int:
    """Run the command line given in `sys.argv` and return its exit code (`labrunner.errors.ExitCode`)."""
    from labrunner.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
