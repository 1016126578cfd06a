"""labrunner: interactive labs for Kubernetes, Istio and Azure, in a terminal.

Imports go one way: cli, tui, report -> run -> check -> target -> sandbox, and all of them -> lab.
`errors` and `paths` are leaves that everything may import.
"""

__version__ = "0.1.0"
