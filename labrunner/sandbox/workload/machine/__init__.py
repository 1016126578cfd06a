"""Pretended machines: processes with descriptors, signals and terminals, in containers, in pods."""
