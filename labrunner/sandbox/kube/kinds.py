"""The table of kinds: everything the API serves is one `Kind`, built in or from a CustomResourceDefinition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource. `versions` are those served, most preferred first; `storage` is the one kept in the store."""

    group: str
    """Empty for the core group."""
    kind: str
    plural: str
    versions: tuple[str, ...]
    singular: str = ""
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    """`status`, `scale`, `log`, `exec`, `attach`, `portforward`, `eviction`, `token` ..."""
    verbs: tuple[str, ...] = (
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
    )  # fmt: skip
    storage: str = ""
    custom: bool = False
    list_kind: str = field(default="")

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "singular", self.singular or self.kind.lower())
        set_(self, "storage", self.storage or self.versions[0])
        set_(self, "list_kind", self.list_kind or f"{self.kind}List")

    @property
    def id(self) -> str:
        """How the rest of the sandbox names a kind: `Pod`, `apps/Deployment`, `networking.istio.io/Gateway`."""
        return f"{self.group}/{self.kind}" if self.group else self.kind

    @property
    def resource(self) -> str:
        """As Kubernetes messages name it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def api_version(self, version: str = "") -> str:
        version = version or self.storage
        return f"{self.group}/{version}" if self.group else version


class KindTable:
    """All kinds served now; a CRD adds and removes entries while the server runs."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._by_id: dict[str, Kind] = {}
        self._by_resource: dict[tuple[str, str], Kind] = {}
        for kind in kinds:
            self.add(kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_id.values())

    def __contains__(self, kind_id: str) -> bool:
        return kind_id in self._by_id

    def add(self, kind: Kind) -> None:
        """Serve this kind; replaces the entry of the same id."""
        self._by_id[kind.id] = kind
        self._by_resource[kind.group, kind.plural] = kind

    def remove(self, kind_id: str) -> None:
        kind = self._by_id.pop(kind_id, None)
        if kind:
            self._by_resource.pop((kind.group, kind.plural), None)

    def get(self, kind_id: str) -> Kind | None:
        return self._by_id.get(kind_id)

    def by_resource(self, group: str, plural: str) -> Kind | None:
        return self._by_resource.get((group, plural))

    def of_object(self, obj: dict[str, object]) -> Kind | None:
        """The kind of an object by its apiVersion (any served version) and kind."""
        group, _, _version = str(obj.get("apiVersion", "")).rpartition("/")
        name = str(obj.get("kind", ""))
        return self._by_id.get(f"{group}/{name}" if group else name)
