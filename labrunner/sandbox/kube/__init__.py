"""The Kubernetes API: kinds, store, schema, patch, printers, streams, controllers, and the server over them."""
