"""Which Istio a sandbox is made with; it stays so for the sandbox's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from labrunner.sandbox.layout import Layout

if TYPE_CHECKING:
    from labrunner.sandbox.kube.controllers.settings import Flavour, MeshSettings

FLAVOURS = ("aks", "istio", "none")
"""AKS's add-on (revisions `asm-1-NN`, `aks-istio-*` namespaces), upstream's (`istio-system`), or no mesh."""
DEFAULT = "aks"


def chosen(layout: Layout) -> str:
    """The flavour this sandbox was made with; empty before its first start."""
    try:
        found = layout.flavour.read_text().strip()
    except FileNotFoundError:
        return ""
    return found if found in FLAVOURS else DEFAULT


def settings(layout: Layout, wanted: str) -> MeshSettings:
    """The mesh of this sandbox; the first start decides and keeps it."""
    from labrunner.sandbox.kube.controllers.settings import MeshSettings

    flavour = cast("Flavour", chosen(layout) or wanted)
    layout.flavour.write_text(flavour + "\n")
    return MeshSettings("istio", ("default",), "1.27.1") if flavour == "istio" else MeshSettings(flavour)
