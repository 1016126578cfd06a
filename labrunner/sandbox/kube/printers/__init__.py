"""What `kubectl get` shows: the server's Table of each kind, one row per object.

A kind is a `Printer` in one module's PRINTERS, found through `table.PRINTERS`; a kind without one shows NAME and
CREATED AT. Pure; may be imported by the server, never imports it.
"""
