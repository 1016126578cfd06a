"""Who may do what: RBAC over the stored roles and bindings, the default roles, and the guard against escalation.

Imports `api`, `request`, `status`; the server hands it an `Api` and calls it.
"""
