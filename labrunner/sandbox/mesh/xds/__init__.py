"""Extension configuration for Envoy over its own discovery protocol (ADS on gRPC), as far as this needs it."""
