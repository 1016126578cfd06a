"""The lab format, version 1, as one JSON Schema: what editors complete from and what the loader validates with.

Three kinds of file share it, told apart by `kind`: a `Lab`, a `Part` in a file of its own, and a reusable `Check`.
The kinds of check bring their own parameters: `build` takes them, so that this module knows none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labrunner.lab import durations

API_VERSION = "labrunner/v1"
ID_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
VARIABLE_PATTERN = r"^[A-Z][A-Z0-9_]{0,63}$"
USE_PATTERN = r"^[a-z0-9-]+/[a-z0-9-]+$"
PARAMETER_PATTERN = r"^[a-z][A-Za-z0-9]{0,40}$"
FEATURES = ("kubernetes", "istio-crds", "mesh", "azure")

CHECK_KEYS = ("id", "title", "wait", "already", "use", "with")
"""Keys of a check that are not the name of a kind."""

Json = dict[str, Any]


def build(kinds: Mapping[str, Mapping[str, Any]] | None = None) -> Json:
    """The whole schema. Without `kinds`, any kind of check with any parameters is accepted."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lab file",
        "description": "A labrunner lab, a part of one, or a reusable check.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": _api_version(), "kind": {"enum": ["Lab", "Part", "Check"]}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{definition}"},
            }
            for kind, definition in FILE_KINDS.items()
        ],
        "$defs": {
            "lab": _lab(),
            "metadata": _metadata(),
            "variable": _variable(),
            "partFile": _part_file(),
            "part": _part(),
            "step": _step(),
            "block": _block(),
            "inlineBlock": _inline_block(),
            "blocks": _blocks(),
            "check": _check(kinds),
            "targetedHint": _targeted_hint(),
            "mistake": _mistake(),
            "checkFile": _check_file(kinds),
            "checkParameter": _check_parameter(),
        },
    }


FILE_KINDS = {"Lab": "lab", "Part": "partFile", "Check": "checkFile"}
"""`kind` of a file -> its definition in the schema."""


def _ref(name: str, description: str = "") -> Json:
    return {"$ref": f"#/$defs/{name}", **({"description": description} if description else {})}


def _text(description: str, **more: Any) -> Json:
    return {
        "type": "string",
        "pattern": r"\S",
        "patternErrorMessage": "it must say something",
        "description": description,
        **more,
    }


def _id(description: str) -> Json:
    return {
        "type": "string",
        "pattern": ID_PATTERN,
        "patternErrorMessage": "an id is lower case letters, digits and dashes, e.g. 'create-secret'",
        "description": description,
    }


def _flag(description: str) -> Json:
    return {"type": "boolean", "default": False, "description": description}


def _duration(description: str, default: str) -> Json:
    return {
        "type": "string",
        "pattern": durations.PATTERN,
        "patternErrorMessage": "a duration has a unit: 500ms, 90s, 2m, 1m30s",
        "default": default,
        "description": description,
    }


def _regex(description: str) -> Json:
    return _text(
        f"{description} A regular expression (Python), searched anywhere, `^` and `$` at lines.", format="regex"
    )


def _list(items: Json, description: str, **more: Any) -> Json:
    return {"type": "array", "items": items, "description": description, **more}


def _object(title: str, properties: Json, required: list[str], description: str, **more: Any) -> Json:
    return {
        "title": title,
        "type": "object",
        "description": description,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
        **more,
    }


def _api_version() -> Json:
    return {"const": API_VERSION, "description": "The format's version."}


def _lab() -> Json:
    return _object(
        "A lab",
        {
            "apiVersion": _api_version(),
            "kind": {"const": "Lab", "description": "This file is a lab."},
            "metadata": _ref("metadata"),
            "variables": {
                "type": "object",
                "description": "Named values: exported to the lab's shell, and `${NAME}` in checks, texts and hints.",
                "propertyNames": {
                    "pattern": VARIABLE_PATTERN,
                    "patternErrorMessage": "a variable is named in capitals, e.g. 'GATEWAY_HOST'",
                },
                "additionalProperties": _ref("variable"),
            },
            "setup": _ref("blocks", "Run once before the first step: the world the lab starts in."),
            "parts": _list(
                {
                    "anyOf": [
                        _ref("part"),
                        _object(
                            "A part in a file of its own",
                            {"file": _text("The part's file, relative to this one: parts/gateway.yaml.")},
                            ["file"],
                            "Where the part is written.",
                        ),
                    ]
                },
                "The lab's parts, in order.",
                minItems=1,
            ),
            "cleanup": _ref("blocks", "Undoes `setup`; run after the steps' own cleanup."),
        },
        ["apiVersion", "kind", "metadata", "parts"],
        "A lab: parts of steps, with everything needed to walk and to prove them.",
    )


def _metadata() -> Json:
    return _object(
        "The metadata",
        {
            "id": _id("The lab's name on the command line; the same as its folder's."),
            "title": _text("What the catalogue shows."),
            "summary": _text("One or two sentences: what the learner can do afterwards."),
            "level": {
                "enum": ["beginner", "intermediate", "advanced"],
                "description": "What the learner should bring along.",
            },
            "minutes": {
                "type": "integer",
                "minimum": 1,
                "maximum": 600,
                "description": "How long a learner takes, in minutes.",
            },
            "tags": _list(_id("A word to search for."), "Words to search for.", uniqueItems=True),
            "source": _text("The document that the lab is made after."),
            "requires": _object(
                "The requirements",
                {
                    "labs": _list(_id("A lab's id."), "Labs to finish before this one.", uniqueItems=True),
                    "tools": _list(_text("A command."), "Commands on the PATH.", uniqueItems=True),
                    "features": _list(
                        {"enum": list(FEATURES)}, "Features that the target must have.", uniqueItems=True
                    ),
                },
                [],
                "What must be there before the lab starts.",
            ),
        },
        ["id", "title", "summary", "level", "minutes"],
        "What the catalogue says about the lab.",
    )


def _variable() -> Json:
    return {
        "title": "A variable",
        "description": "A named value, or just its default.",
        "anyOf": [
            {"type": ["string", "integer", "boolean"], "description": "The default."},
            _object(
                "A variable",
                {
                    "type": {"enum": ["string", "integer", "boolean"], "default": "string", "description": "Its type."},
                    "default": {
                        "type": ["string", "integer", "boolean"],
                        "description": "Its value, unless the learner sets another.",
                    },
                    "command": _text("Run in the lab's shell at the start; what it prints, trimmed, is the value."),
                    "secret": _flag("Keep it out of journals, events and reports."),
                    "description": _text("What it is for."),
                },
                [],
                "A named value.",
            ),
        ],
    }


def _part_file() -> Json:
    part = _part()
    part["title"] = "A part"
    part["properties"] = {
        "apiVersion": _api_version(),
        "kind": {"const": "Part", "description": "This file is a part of a lab."},
        **part["properties"],
    }
    part["required"] = ["apiVersion", "kind", *part["required"]]
    return part


def _part() -> Json:
    return _object(
        "A part",
        {
            "id": _id("Unique in the lab."),
            "title": _text("What the learner sees."),
            "summary": _text("What the part is about, in a sentence."),
            "steps": _list(_ref("step"), "The part's steps, in order.", minItems=1),
        },
        ["id", "title", "steps"],
        "Some steps that belong together.",
    )


def _step() -> Json:
    return _object(
        "A step",
        {
            "id": _id("Unique in the lab."),
            "title": _text("What the learner sees in the list of steps.", maxLength=60),
            "instructions": _text(
                "Markdown. A fenced block with the info string `run:<block id>` and nothing inside shows that block."
            ),
            "blocks": {
                "type": "object",
                "description": "Commands that the learner runs, or has run for them, by id.",
                "propertyNames": {
                    "pattern": ID_PATTERN,
                    "patternErrorMessage": "an id is lower case letters, digits and dashes, e.g. 'create-secret'",
                },
                "additionalProperties": {
                    "anyOf": [_text("The command."), _ref("block")],
                    "description": "A command, or a mapping with `run` and what is expected of it.",
                },
            },
            "checks": _list(_ref("check"), "What must hold when the step is done.", minItems=1),
            "hints": _list(
                _text("Markdown. Says more than the hint before it."),
                "Shown one by one when the learner asks. At least two.",
            ),
            "targetedHints": _list(_ref("targetedHint"), "Hints for one way of going wrong each."),
            "solution": _ref("blocks", "Makes the checks pass."),
            "mistakes": _list(_ref("mistake"), "Wrong ways that people really take, and what must catch them."),
            "cleanup": _ref("blocks", "Takes away what the step made."),
        },
        ["id", "title", "instructions", "checks"],
        "One thing to understand and do.",
    )


_EXPECT = _object(
    "What is expected",
    {
        "exit": {
            "type": "integer",
            "minimum": 0,
            "maximum": 255,
            "default": 0,
            "description": "The exit status that counts as success.",
        },
        "output": _regex("Must be found in the output."),
    },
    [],
    "What the command must do to count as run well.",
)


def _block_properties() -> Json:
    return {
        "run": _text("The command or script, run by bash in the lab's one shell."),
        "title": _text("What the block is called on the screen."),
        "expect": _EXPECT,
        "interactive": _flag("Needs the learner at the keyboard; never run headless."),
        "background": _flag("Do not wait for it to end."),
        "timeout": _duration("How long it may take.", "60s"),
        "confirm": _text("A question to ask before it runs, as it deletes, costs, or cannot be undone."),
    }


def _block() -> Json:
    return _object("A block", _block_properties(), ["run"], "A command the learner runs, or has run for them.")


def _inline_block() -> Json:
    properties = {"id": _id("Unique in the step."), **_block_properties()}
    return _object("A block", properties, ["id", "run"], "A command of its own.")


def _blocks() -> Json:
    return _list(
        {
            "anyOf": [
                {"type": "string", "pattern": ID_PATTERN, "description": "The id of a block of the step.",
                 "patternErrorMessage": "name a block of the step, or write a mapping with 'id' and 'run'"},
                _ref("inlineBlock"),
            ]
        },
        "Blocks: ids of the step's own, or new ones.",
    )  # fmt: skip


def _check(kinds: Mapping[str, Mapping[str, Any]] | None) -> Json:
    properties: Json = {
        "id": _id("Unique in the step; hints and mistakes name it."),
        "title": _text("What must hold, in the learner's words."),
        "wait": _duration("How long to keep looking before a failure counts.", "0s"),
        "already": _text("Why this may hold before the step is done. Without it, the check must fail beforehand."),
        "use": {
            "type": "string",
            "pattern": USE_PATTERN,
            "patternErrorMessage": "a reusable check is named <system>/<name>, e.g. 'tls/server-certificate'",
            "description": "A reusable check: checks/<system>/<name>.yaml.",
        },
        "with": {"type": "object", "description": "Values for the parameters of the reusable check."},
    }
    return _with_kinds(
        _object("A check", properties, ["id"], "One question put to the world, by one kind of check."), kinds, ["use"]
    )


def _with_kinds(definition: Json, kinds: Mapping[str, Mapping[str, Any]] | None, others: list[str]) -> Json:
    """Add one property per kind, exactly one of which (or of `others`) must be there."""
    if kinds is None:
        return {**definition, "additionalProperties": True}
    for name, schema in kinds.items():
        definition["properties"][name] = dict(schema)
    definition["oneOf"] = [{"required": [key]} for key in (*kinds, *others)]
    definition.setdefault("dependentRequired", {}).update({"with": ["use"]} if "use" in others else {})
    return definition


def _targeted_hint() -> Json:
    return _object(
        "A targeted hint",
        {
            "id": _id("Unique in the step; mistakes name it."),
            "when": _object(
                "The condition",
                {
                    "check": _id("The check that failed."),
                    "reason": _id("The reason code of one of its findings, e.g. `missing`."),
                    "matches": _regex("Must be found in the finding's sentence, expected or observed value."),
                },
                ["check"],
                "When the hint is shown.",
            ),
            "text": _text("Markdown. What went wrong, and where to look."),
        },
        ["id", "when", "text"],
        "A hint for one way of going wrong.",
    )


def _mistake() -> Json:
    return _object(
        "A mistake",
        {
            "id": _id("Unique in the step."),
            "title": _text("The mistake in a few words."),
            "blocks": _ref("blocks", "What one does who makes it."),
            "caughtBy": _id("The check that must fail."),
            "hint": _id("The targeted hint that must appear."),
            "explanation": _text("Markdown. Why it is wrong, shown after the step."),
        },
        ["id", "title", "blocks", "caughtBy", "hint"],
        "A wrong way that people really take.",
    )


def _check_file(kinds: Mapping[str, Mapping[str, Any]] | None) -> Json:
    """Values may hold `${params.NAME}`, so the kind's own schema is applied where the check is used."""
    loose = None
    if kinds is not None:
        loose = {name: {"type": "object", "description": kind.get("description", "")} for name, kind in kinds.items()}
    check = _object(
        "The check",
        {
            "title": _text("What must hold, when the lab gives no title."),
            "wait": _duration("How long to keep looking, when the lab does not say.", "0s"),
        },
        [],
        "The check itself; `${params.NAME}` stands for a parameter.",
    )
    return _object(
        "A reusable check",
        {
            "apiVersion": _api_version(),
            "kind": {"const": "Check", "description": "This file is a reusable check."},
            "title": _text("What it asks, in a few words."),
            "description": _text("When to use it, and what its findings mean."),
            "parameters": {
                "type": "object",
                "description": "What a lab gives it under `with:`.",
                "propertyNames": {
                    "pattern": PARAMETER_PATTERN,
                    "patternErrorMessage": "a parameter is named in camelCase, e.g. 'secretName'",
                },
                "additionalProperties": _ref("checkParameter"),
            },
            "check": _with_kinds(check, loose, []),
        },
        ["apiVersion", "kind", "title", "check"],
        "A check with parameters that labs refer to by `use:`.",
    )


def _check_parameter() -> Json:
    return _object(
        "A parameter",
        {
            "type": {
                "enum": ["string", "integer", "number", "boolean", "list", "object", "any"],
                "description": "What a value must be.",
            },
            "default": {"description": "The value when the lab gives none; a parameter without one must be given."},
            "description": _text("What it is for."),
            "enum": _list({}, "The only values allowed.", minItems=1),
        },
        ["type", "description"],
        "What a lab may give under `with:`.",
    )
