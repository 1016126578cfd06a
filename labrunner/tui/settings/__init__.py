"""The user's settings: `config.yaml` and `themes/*.yaml` in the config folder, read with file:line:column for mistakes.

What is wrong is left out and reported; the rest holds. Nothing here imports a screen until a keymap must be checked.
"""
