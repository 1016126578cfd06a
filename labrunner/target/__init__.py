"""Where a lab runs: the Target protocol, the embedded sandbox and live clusters. Imports sandbox and lab only."""
