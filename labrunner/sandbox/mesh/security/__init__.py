"""Istio's security resources as Envoy configuration: authorization, peer and request authentication. Pure."""
