"""Request bodies of type application/vnd.kubernetes.protobuf, which kubectl's `create` commands send, read as JSON.

Pure; may be imported by the server, never imports it. Responses are always JSON: every client accepts it.
"""
