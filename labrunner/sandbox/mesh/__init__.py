"""Istio resources -> Envoy configuration, and the one Envoy that runs it; network, identities, explanation.

`model` is a snapshot of what matters in the cluster; `render` and below turn it into Envoy resources and are pure;
`supervisor` and `network` run things. Imports kube and workload, nothing of labs.
"""
