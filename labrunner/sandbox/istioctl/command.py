"""Which command a line means, its help, and what is said to one that does not exist, as cobra does."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence

from labrunner.sandbox.istioctl.kube import CommandError, Kube
from labrunner.sandbox.istioctl.options import GLOBAL

Handler = Callable[[Kube, list[str]], int]

_COMMANDS: dict[str, str] = {
    "admin": "Manage control plane (istiod) configuration",
    "analyze": "Analyze Istio configuration and print validation messages",
    "bug-report": "Cluster information and log capture support tool.",
    "create-remote-secret": "Create a secret with credentials to allow Istio to access remote Kubernetes apiservers",
    "dashboard": "Access to Istio web UIs",
    "experimental": "Experimental commands that may be modified or deprecated",
    "help": "Help about any command",
    "install": "Applies an Istio manifest, installing or reconfiguring Istio on a cluster.",
    "kube-inject": "Inject Istio sidecar into Kubernetes pod resources",
    "manifest": "Commands related to Istio manifests",
    "proxy-config": "Retrieve information about proxy configuration from Envoy [kube only]",
    "proxy-status": "Retrieves the synchronization status of each Envoy in the mesh",
    "tag": "Command group used to interact with revision tags",
    "uninstall": "Uninstall Istio from a cluster",
    "upgrade": "Upgrade Istio control plane in-place",
    "validate": "Validate Istio policy and rules files",
    "version": "Prints out build version information",
    "waypoint": "Manage waypoint configuration",
    "ztunnel-config": "Update or retrieve current Ztunnel configuration.",
}
_ALIASES = {"x": "experimental", "exp": "experimental", "pc": "proxy-config", "ps": "proxy-status", "v": "validate",
            "dash": "dashboard", "d": "dashboard"}  # fmt: skip
_EXPERIMENTAL = {
    "authz": "Inspect and check authorization policies",
    "describe": "Describe resource and related Istio configuration",
    "wait": "Wait for an Istio resource",
}
_NOT_HERE = {
    "admin": "control plane log levels", "bug-report": "archives of a cluster",
    "create-remote-secret": "meshes of several clusters", "install": "another Istio",
    "kube-inject": "injection by hand (label the namespace: the sandbox injects)", "manifest": "another Istio",
    "uninstall": "a sandbox without its Istio", "upgrade": "another Istio", "waypoint": "ambient mode",
    "ztunnel-config": "ambient mode",
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
    try:
        kube, words = _cluster(list(arguments))
        return _dispatch(kube, words)
    except CommandError as error:
        sys.stderr.write(f"Error: {error.message}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


def _cluster(arguments: list[str]) -> tuple[Kube, list[str]]:
    """Takes the flags that say which cluster out of the line, wherever they stand."""
    found: dict[str, str] = {}
    letters = {letter: name for name, letter in GLOBAL.items() if letter}
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        if not name and len(word) > 1 and word[0] == "-" and word[1] in letters:
            name, value = letters[word[1]], word[2:].removeprefix("=")
            equals = "=" if value else ""
        if name in GLOBAL:
            if not equals:
                value = next(words, "")
                if not value:
                    raise CommandError(f"flag needs an argument: {word}")
            found[name] = value
        else:
            rest.append(word)
    kube = Kube(
        found.get("kubeconfig", ""), found.get("context", ""), found.get("namespace", ""),
        found.get("istioNamespace", ""),
    )  # fmt: skip
    return kube, rest


def _dispatch(kube: Kube, words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h"):
        sys.stdout.write(_usage())
        return 0
    name = _ALIASES.get(words[0], words[0])
    rest = words[1:]
    if name.startswith("-"):
        raise CommandError(f"unknown flag: {name}" if name.startswith("--") else f"unknown shorthand flag: {name}")
    if name == "help":
        return _help(rest)
    if name not in _COMMANDS:
        raise CommandError(_unknown(words[0], "istioctl", _COMMANDS))
    if any(word in ("--help", "-h") for word in rest):
        return _help([name, *(w for w in rest if not w.startswith("-"))])
    if name in _NOT_HERE:
        raise CommandError(f"the sandbox has no {_NOT_HERE[name]}: `istioctl {name}` works on a real cluster")
    return _run(kube, name, rest)


def _run(kube: Kube, name: str, rest: list[str]) -> int:
    from labrunner.sandbox.istioctl import control_plane

    match name:
        case "analyze":
            from labrunner.sandbox.istioctl.analyze import analyze

            return analyze(kube, rest, control_plane.minor_version(kube))
        case "validate":
            from labrunner.sandbox.istioctl.analyze import validate

            return validate(rest)
        case "version":
            return control_plane.version(kube, rest)
        case "tag":
            return control_plane.tag(kube, rest)
        case "proxy-status":
            from labrunner.sandbox.istioctl.proxies import status

            return status(kube, rest)
        case "proxy-config":
            from labrunner.sandbox.istioctl.proxies import config

            return config(kube, rest)
        case "dashboard":
            return control_plane.dashboard(rest)
    return _experimental(kube, rest)


def _experimental(kube: Kube, words: list[str]) -> int:
    from labrunner.sandbox.istioctl import describe, wait

    if not words:
        sys.stdout.write(_group("experimental", _EXPERIMENTAL))
        return 0
    match words[0]:
        case "describe" | "des":
            return describe.describe(kube, words[1:])
        case "authz" | "auth":
            if words[1:2] != ["check"]:
                raise CommandError('unknown command for "istioctl experimental authz": use `authz check POD`')
            return describe.authz_check(kube, words[2:])
        case "wait":
            return wait.wait(kube, words[1:])
    if words[0] in ("proxy-status", "ps", "analyze", "proxy-config"):
        return _run(kube, _ALIASES.get(words[0], words[0]), words[1:])
    raise CommandError(_unknown(words[0], "istioctl experimental", _EXPERIMENTAL))


def _unknown(word: str, parent: str, commands: dict[str, str]) -> str:
    text = f'unknown command "{word}" for "{parent}"'
    near = difflib.get_close_matches(word, commands, n=3)
    return f"{text}\n\nDid you mean this?\n" + "".join(f"\t{n}\n" for n in near) if near else text


def _usage() -> str:
    lines = "".join(f"  {name:<21}{text}\n" for name, text in _COMMANDS.items())
    return (
        "Istio configuration command line utility for service operators to\n"
        "debug and diagnose their Istio mesh.\n\n"
        f"Usage:\n  istioctl [command]\n\nAvailable Commands:\n{lines}\n{_FLAGS}\n"
        'Use "istioctl [command] --help" for more information about a command.\n'
    )


_FLAGS = """\
Flags:
      --context string          Kubernetes configuration context
  -h, --help                    help for istioctl
  -i, --istioNamespace string   Istio system namespace (default "istio-system")
  -c, --kubeconfig string       Kubernetes configuration file
  -n, --namespace string        Kubernetes namespace
"""
_EXAMPLES = {
    "analyze": "istioctl analyze [-n NAMESPACE | -A] [FILE...]\n  istioctl analyze -A -o json",
    "validate": "istioctl validate -f FILE",
    "version": "istioctl version [--remote=false] [--short] [-o json]",
    "proxy-status": "istioctl proxy-status [POD[.NAMESPACE]] [-n NAMESPACE]",
    "proxy-config": "istioctl proxy-config all|bootstrap|cluster|endpoint|listener|log|route|secret "
    "POD[.NAMESPACE] | TYPE/NAME [-n NAMESPACE] [-o short|json|yaml]",
    "tag": "istioctl tag list",
    "dashboard": "istioctl dashboard jaeger",
    "experimental": "istioctl experimental describe pod|service NAME\n  istioctl experimental authz check POD\n  "
    "istioctl experimental wait --for=delivery TYPE NAME[.NAMESPACE]",
}


def _help(words: list[str]) -> int:
    name = _ALIASES.get(words[0], words[0]) if words else ""
    if not name:
        sys.stdout.write(_usage())
        return 0
    if name not in _COMMANDS:
        raise CommandError(f"Unknown help topic [`{name}`]")
    usage = _EXAMPLES.get(name, f"istioctl {name}")
    sys.stdout.write(f"{_COMMANDS[name]}\n\nUsage:\n  {usage}\n\n{_FLAGS}")
    return 0


def _group(name: str, commands: dict[str, str]) -> str:
    lines = "".join(f"  {each:<14}{text}\n" for each, text in commands.items())
    return f"{_COMMANDS[name]}\n\nUsage:\n  istioctl {name} [command]\n\nAvailable Commands:\n{lines}"
