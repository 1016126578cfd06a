"""The terminal user interface: Textual screens and widgets over the engine's events.

`screens/` holds one screen per file with its .tcss beside it, `widgets/` what they are made of, `terminal/` the shell
pane. Only `labrunner.cli` imports this package, and only when a screen is to be opened.
"""
