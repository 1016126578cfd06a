"""What istiod's validating webhook refuses, in its words. Pure but for `webhook`; nothing of the data plane is needed.

Source: pkg/config/validation of istio/istio.
"""
