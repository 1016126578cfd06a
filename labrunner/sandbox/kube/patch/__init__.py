"""How a change is merged into an object: the four patch formats, and who owns which field (server-side apply).

Pure functions on plain JSON, driven by `SchemaNode`; may be imported by the server, never imports it.
"""
