"""Istio's networking resources as Envoy routes, clusters and listeners. Pure."""
