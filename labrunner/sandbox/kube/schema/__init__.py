"""Schemas of all served kinds: OpenAPI, decoding, defaults, pruning, validation. Pure; knows no store or server."""
