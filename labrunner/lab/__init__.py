"""What a lab IS: model, JSON Schema, loader, lint, discovery of content.

Imports nothing of labrunner but `errors` and `paths`; everything else may import it.
"""
