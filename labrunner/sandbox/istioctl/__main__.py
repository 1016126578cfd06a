"""`python -m labrunner.sandbox.istioctl`: what the launcher on the PATH runs."""

import sys

from labrunner.sandbox.istioctl.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
