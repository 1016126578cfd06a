"""The kinds of check: one module per kind, registered by name in `registry`. Imports target and lab, never run."""
