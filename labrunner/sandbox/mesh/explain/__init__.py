"""Why a request was allowed or denied: an evaluator over the rendered configuration, for explanation only.

The verdict always comes from Envoy; a disagreement with it is a defect of ours and is reported as one.
"""
