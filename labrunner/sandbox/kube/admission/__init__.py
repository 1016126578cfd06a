"""The admission that people meet: Pod Security, LimitRange, ResourceQuota, ServiceAccount, priorities.

Each module is one plugin: a callable `(api, request, obj, old) -> obj` that may change the object or raise ApiError.
`chain` lists them in the API server's order.
"""
