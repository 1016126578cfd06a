"""What `config.yaml` and `themes/*.yaml` may hold, as JSON Schema (`labrunner config schema` prints the first)."""

from __future__ import annotations

from typing import Any

from labrunner.tui.settings.theme_colours import OPTIONAL, REQUIRED

Json = dict[str, Any]

_COLOUR: Json = {
    "type": "string",
    "pattern": "^#[0-9a-fA-F]{6}$",
    "patternErrorMessage": "a colour is '#' and six hexadecimal digits, quoted: \"#7aa2f7\"",
}

CONFIG: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "labrunner's settings",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "theme": {
            "type": "string",
            "pattern": r"^[a-z0-9][a-z0-9-]*$",
            "patternErrorMessage": "a theme is named in lower case letters, digits and dashes",
            "default": "night",
            "description": "night, day, contrast, or the name of a file in themes/ without .yaml",
        },
        "symbols": {
            "enum": ["auto", "unicode", "ascii"],
            "default": "auto",
            "description": "The signs that carry meaning; auto: unicode where the terminal's encoding is UTF-8",
        },
        "mouse": {"type": "boolean", "default": True, "description": "Whether clicks and the wheel are ours"},
        "helpAfter": {
            "title": "helpAfter",
            "type": "object",
            "description": "When a step offers help by itself",
            "additionalProperties": False,
            "properties": {
                "attempts": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 1000,
                    "default": 4,
                    "description": "attempts or commands without progress; 0: never",
                },
                "minutes": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1440,
                    "default": 5,
                    "description": "minutes without progress; 0: never",
                },
            },
        },
        "keymap": {
            "title": "keymap",
            "type": "object",
            "description": "Action id -> its keys, in place of the built-in ones",
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "minItems": 1, "maxItems": 8, "items": {"type": "string", "minLength": 1}},
                ]
            },
        },
    },
}

THEME: Json = {
    "title": "A theme",
    "type": "object",
    "required": ["dark", "colours"],
    "additionalProperties": False,
    "properties": {
        "dark": {"type": "boolean", "description": "Whether text is lighter than what is behind it"},
        "colours": {
            "title": "colours",
            "type": "object",
            "required": list(REQUIRED),
            "additionalProperties": False,
            "properties": {name: {**_COLOUR, "description": what} for name, what in {**REQUIRED, **OPTIONAL}.items()},
        },
        "terminal": {
            "type": "array",
            "minItems": 16,
            "maxItems": 16,
            "items": _COLOUR,
            "description": "The shell's sixteen colours: black, red, green, yellow, blue, magenta, cyan, white, "
            "then the bright ones",
        },
    },
}
