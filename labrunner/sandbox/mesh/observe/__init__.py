"""What the proxies' shared access log tells: records, Istio's log lines, metrics, spans, and a request's hops.

Pure but for `journal`, which reads the log as it grows. Imports the mesh's model and explanation, nothing of labs.
"""
