"""HTTP as programs in pods speak it: a client that curl and wget are made of, and a base for servers."""
