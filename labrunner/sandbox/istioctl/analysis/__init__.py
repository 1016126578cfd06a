"""Istio's configuration analyzers: what is valid and yet does not do what its author meant.

Codes, levels and words are those of istio.io's Configuration Analysis Messages (pkg/config/analysis of istio/istio).
"""
