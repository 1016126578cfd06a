"""Servers that images run: each is one small module, named in `table`."""
