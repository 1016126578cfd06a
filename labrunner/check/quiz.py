"""Does the learner know the answer?

A `question` with `choices` (one right, or several: then all of them must be given) or with a free text, which is right
when it equals one of `answer` after normalisation (spaces and case; `normalise` changes that) or matches `pattern`.
A choice may be answered by its text, its number or its letter. The result never tells the answer before it was given;
`explanation` is shown then, `feedback` of a wrong choice at once.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any, Final

from labrunner.check.kind import CheckContext
from labrunner.check.match_operators import lint_regex
from labrunner.check.phrase import clip
from labrunner.check.result import Finding

EXAMPLES: Final = """
- title: One right choice
  params:
    question: Two rules of an AuthorizationPolicy are joined by
    choices:
      - AND
      - text: OR
      - text: XOR
        feedback: Both may hold at once.
    answer: OR
    explanation: A request is allowed when any rule matches; within a rule, from, to and when must all match.
  passes: {answer: b}
  fails:
    - why: Not answered yet
      reasons: [unanswered]
    - why: The wrong choice
      reasons: [wrong]
      answer: XOR
- title: Free text
  params:
    question: Which header carries the host name in HTTP/2?
    answer: [":authority", authority]
  passes: {answer: "  :Authority "}
  fails:
    - why: Something else
      reasons: [wrong]
      answer: Host
- title: Several right choices
  params:
    question: Which of these reach the API server over TLS?
    choices: [kubectl, kubelet, etcd's snapshot file]
    answer: [kubectl, kubelet]
  passes: {answer: "1, 2"}
  fails:
    - why: Only one of them
      reasons: [incomplete]
      answer: kubectl
"""

REASONS: Final = {
    "unanswered": "There is no answer yet.",
    "wrong": "It is not the answer.",
    "incomplete": "Right so far, but not all of it.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_NORMALISE: Final = ("case", "space", "punctuation")


class QuizKind:
    """See the module's docstring."""

    name = "quiz"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["question"],
        "properties": {
            "question": {"type": "string", "minLength": 1, "description": "Markdown, one sentence."},
            "choices": {
                "type": "array",
                "minItems": 2,
                "maxItems": 26,
                "description": "What to choose from; without choices the answer is free text.",
                "items": {
                    "oneOf": [
                        {"type": "string"},
                        {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["text"],
                            "properties": {
                                "text": {"type": "string", "description": "The choice."},
                                "feedback": {"type": "string", "description": "Said when it is chosen and wrong."},
                            },
                        },
                    ]
                },
            },
            "answer": {
                "description": "The right answer. With choices a list means all of them; free text: any of them.",
                "oneOf": [
                    {"type": ["string", "number"]},
                    {"type": "array", "minItems": 1, "items": {"type": ["string", "number"]}},
                ],
            },
            "pattern": {"type": "string", "description": "A regular expression that the whole free text matches."},
            "normalise": {
                "type": "array",
                "items": {"enum": list(_NORMALISE)},
                "description": "What makes no difference: case, space, punctuation. Default: case and space.",
            },
            "explanation": {"type": "string", "description": "Why; shown once the answer is right."},
        },
        "anyOf": [{"required": ["answer"]}, {"required": ["pattern"]}],
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        given = context.answers.get(context.check_id, "").strip()
        where = f"quiz {context.check_id}" if context.check_id else "quiz"
        if not given:
            message = "This question is not answered yet: answer it in the step's instructions."
            return [Finding("unanswered", message, "an answer", "none", where)]
        if params.get("choices"):
            return _judge_choices(params, given, where)
        normalised = _normalise(given, params)
        if any(normalised == _normalise(str(a), params) for a in _answers(params)):
            return []
        if params.get("pattern") and re.fullmatch(params["pattern"], given, re.IGNORECASE if _folds(params) else 0):
            return []
        return [Finding("wrong", "That is not the answer; think again.", "the right answer", clip(given), where)]

    def describe(self, params: Mapping[str, Any]) -> str:
        return str(params["question"])

    def passed(self, params: Mapping[str, Any]) -> str:
        return str(params.get("explanation") or "Answered.")

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = lint_regex(params["pattern"], "pattern") if "pattern" in params else []
        texts = [_text(c) for c in params.get("choices", [])]
        if texts:
            known = {_normalise(t, params) for t in texts}
            problems += [
                f"answer: {a!r} is none of the choices"
                for a in _answers(params)
                if "${" not in str(a) and _normalise(str(a), params) not in known
            ]
            if len(known) < len(texts):
                problems.append("choices: two choices are the same")
            if "pattern" in params:
                problems.append("pattern: is for free text, not for choices")
        return problems


def _judge_choices(params: Mapping[str, Any], given: str, where: str) -> list[Finding]:
    choices = params["choices"]
    texts = [_normalise(_text(c), params) for c in choices]
    right = {texts.index(_normalise(str(a), params)) for a in _answers(params) if _normalise(str(a), params) in texts}
    chosen = _chosen(given, texts, params)
    if chosen is None:
        span = f"a to {string.ascii_lowercase[len(texts) - 1]}, or 1 to {len(texts)}"
        return [Finding("wrong", f"Choose by letter or number: {span}.", "one of the choices", clip(given), where)]
    if chosen == right:
        return []
    shown = ", ".join(_text(choices[i]) for i in sorted(chosen))
    for index in sorted(chosen - right):
        feedback = choices[index].get("feedback", "") if isinstance(choices[index], dict) else ""
        message = f"Not {_text(choices[index])}." + (f" {feedback}" if feedback else "")
        return [Finding("wrong", message, "the right choice", clip(shown), where)]
    return [Finding("incomplete", "Right so far, but there is more.", "all right choices", clip(shown), where)]


def _chosen(given: str, texts: list[str], params: Mapping[str, Any]) -> set[int] | None:
    """The choices meant by text, letter or number, several separated by commas; None when one is not understood."""
    whole = _choice(given, texts, params)
    if whole is not None:
        return {whole}
    parts = [_choice(part, texts, params) for part in given.split(",") if part.strip()]
    return None if None in parts or not parts else {p for p in parts if p is not None}


def _choice(given: str, texts: list[str], params: Mapping[str, Any]) -> int | None:
    normalised = _normalise(given, params)
    if normalised in texts:
        return texts.index(normalised)
    word = given.strip().lower().rstrip(".)")
    if word.isdecimal() and 1 <= int(word) <= len(texts):
        return int(word) - 1
    if len(word) == 1 and word in string.ascii_lowercase[: len(texts)]:
        return string.ascii_lowercase.index(word)
    return None


def _text(choice: Any) -> str:
    return str(choice["text"] if isinstance(choice, dict) else choice)


def _answers(params: Mapping[str, Any]) -> list[Any]:
    answer = params.get("answer", [])
    return list(answer) if isinstance(answer, list) else [answer]


def _folds(params: Mapping[str, Any]) -> bool:
    return "case" in params.get("normalise", ("case", "space"))


def _normalise(text: str, params: Mapping[str, Any]) -> str:
    ways = params.get("normalise", ("case", "space"))
    text = text.strip()
    if "case" in ways:
        text = text.casefold()
    if "punctuation" in ways:
        text = re.sub(r"[^\w\s]", "", text)
    if "space" in ways:
        text = re.sub(r"\s+", " ", text).strip()
    return text
