"""Field validation of objects, in the API server's words. `custom` serves CRDs, `builtin` everything compiled in.

All functions are pure: they take objects and return `FieldError`s in the order the server reports them.
"""

from labrunner.sandbox.kube.schema.validation.builtin import validate_builtin
from labrunner.sandbox.kube.schema.validation.custom import validate

__all__ = ["validate", "validate_builtin"]
