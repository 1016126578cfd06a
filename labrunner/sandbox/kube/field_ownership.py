"""metadata.managedFields of everything written, and server-side apply, as the registry and the server ask for them."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.clock import timestamp
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.conversion import Conversion
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.patch.apply import apply_patch
from labrunner.sandbox.kube.patch.ownership import reset_fields, track_update
from labrunner.sandbox.kube.protobuf.zero import zero_object
from labrunner.sandbox.kube.request import Options
from labrunner.sandbox.kube.schemas import Schemas

_UNTRACKED = frozenset({"Event", "events.k8s.io/Event"})
"""Written so often and read by nobody as owners that tracking them would only cost."""


class FieldOwnership:
    """Implements `labrunner.sandbox.kube.registry.Ownership`."""

    def __init__(self, schemas: Schemas, conversion: Conversion) -> None:
        self._schemas, self._conversion = schemas, conversion

    def updated(self, kind: Kind, new: Obj, old: Obj | None, options: Options, subresource: str, now: str) -> None:
        """Set `new`'s managedFields; an applied object has them already."""
        if options.applied or kind.id in _UNTRACKED:
            return
        version = options.version if options.version in kind.versions else kind.storage
        if self._conversion.converts(kind, version):
            version = kind.storage
        managed = track_update(
            old,
            new,
            self._schemas.node(kind, version),
            manager=options.manager,
            api_version=kind.api_version(version),
            now=now,
            subresource=subresource,
            reset=_reset(kind, subresource),
            zero=_zero(kind, version),
        )
        if managed:
            new["metadata"]["managedFields"] = managed
        else:
            new["metadata"].pop("managedFields", None)

    def apply(self, ctx: Context, wanted: Obj, options: Options, *, force: bool) -> tuple[Obj, bool]:
        """Server-side apply of `wanted`; returns (stored object, whether it was created). Raises ApiError."""
        from labrunner.sandbox.kube.resources import strictly

        kind, version = ctx.kind, ctx.version
        now = timestamp(ctx.server.registry.clock.now())

        def change(old: Obj | None) -> Obj:
            live = self._conversion.outward(kind, version, old) if old is not None else None
            applied = apply_patch(
                live,
                wanted,
                self._schemas.node(kind, version),
                manager=options.manager,
                api_version=kind.api_version(version),
                now=now,
                force=force,
                subresource=ctx.path.subresource,
                reset=_reset(kind, ctx.path.subresource),
                zero=_zero(kind, version),
            )
            shaped, problems = self._schemas.decode(kind, version, applied, None)
            strictly(ctx, problems, options)
            return self._conversion.inward(kind, version, shaped)

        options.applied = True
        subresource = ctx.path.subresource
        return ctx.server.registry.update(
            ctx.stored, ctx.namespace, ctx.name, change, options, subresource=subresource, create=not subresource
        )


def _reset(kind: Kind, subresource: str) -> dict[str, Any]:
    return reset_fields(has_status="status" in kind.subresources, subresource=subresource, custom=kind.custom)


def _zero(kind: Kind, version: str) -> dict[str, Any] | None:
    return zero_object(kind.api_version(version), kind.kind) or None if not kind.custom else None
