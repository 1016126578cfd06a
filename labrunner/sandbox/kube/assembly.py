"""Puts one API server together: store, kinds, schemas, registry, controllers, authentication, subresources."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner.sandbox.kube import issuer_routes, reviews, seed, signing, subresources
from labrunner.sandbox.kube.admission.chain import judges, plugins
from labrunner.sandbox.kube.admission.resource_quota import ResourceQuotaController
from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.apiservices import ApiServices
from labrunner.sandbox.kube.audit import AuditLog
from labrunner.sandbox.kube.auth import Authenticator
from labrunner.sandbox.kube.authz.aggregation import ClusterRoleAggregation
from labrunner.sandbox.kube.authz.default_roles import default_rbac_objects
from labrunner.sandbox.kube.authz.escalation import EscalationGuard
from labrunner.sandbox.kube.authz.rbac import RbacAuthorizer
from labrunner.sandbox.kube.clock import Clock, timestamp
from labrunner.sandbox.kube.controllers import (
    ControllerSettings,
    MeshSettings,
    all_controllers,
    bootstrap,
    job_pods,
    service_ip,
)
from labrunner.sandbox.kube.controllers.injection import inject
from labrunner.sandbox.kube.controllers.runner import Runner
from labrunner.sandbox.kube.conversion import Conversion
from labrunner.sandbox.kube.crds import CustomKinds
from labrunner.sandbox.kube.field_ownership import FieldOwnership
from labrunner.sandbox.kube.inside import InsideApi
from labrunner.sandbox.kube.journal import Journal
from labrunner.sandbox.kube.kinds import Kind, KindTable
from labrunner.sandbox.kube.openapi_routes import serve_openapi
from labrunner.sandbox.kube.pki import Certificates
from labrunner.sandbox.kube.protobuf.body import decode_body
from labrunner.sandbox.kube.registry import Registry
from labrunner.sandbox.kube.rendering import Renderer
from labrunner.sandbox.kube.request import Admission, AdmissionRequest, User
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, builtin_kinds, shipped_crds
from labrunner.sandbox.kube.schema.served import CatalogSchemas
from labrunner.sandbox.kube.server import ApiServer
from labrunner.sandbox.kube.store import Store
from labrunner.sandbox.kube.streams import install as streams
from labrunner.sandbox.kube.token_secrets import TokenSecrets
from labrunner.sandbox.kube.tokens import Tokens
from labrunner.sandbox.workload import containers
from labrunner.sandbox.workload.runtime import WorkloadRuntime

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Cluster:
    """A running world without its network side."""

    server: ApiServer
    api: InsideApi
    store: Store
    journal: Journal | None
    clock: Clock
    tokens: Tokens
    runner: Runner | None = None
    runtime: WorkloadRuntime | None = None


def assemble(
    directory: Path | None,
    certificates: Certificates,
    *,
    instant: bool = False,
    controllers: bool = True,
    mesh: MeshSettings | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Cluster:
    """`directory`: where the journal and the audit log are; None keeps everything in memory.

    `mesh`: the Istio that a new cluster has installed; None: AKS's add-on.
    Raises `EnvironmentFault` when the journal cannot be opened.
    """
    clock = Clock(loop or asyncio.get_running_loop(), 0.0 if instant else 1.0)
    journal = Journal(directory / "journal.jsonl") if directory else None
    store = Store(journal)
    catalog = SchemaCatalog()
    kinds = KindTable(builtin_kinds())
    schemas = CatalogSchemas(catalog)
    conversion = Conversion(kinds)
    ownership = FieldOwnership(schemas, conversion)
    registry = Registry(store, kinds, schemas, clock, ownership)
    tokens = Tokens(certificates.token_key, store, clock)
    api = InsideApi(registry, clock)
    authorizer = RbacAuthorizer(api)
    authenticator = Authenticator(tokens.user, authorizer)

    def columns(kind: Kind, version: str) -> Sequence[Mapping[str, Any]] | None:
        return custom.printer_columns(kind.resource, version) if kind.custom else None

    renderer = Renderer(conversion, columns, clock.now)
    audit = AuditLog(directory / "audit.jsonl" if directory else None)
    server = ApiServer(store, registry, schemas, conversion, authenticator, renderer, audit, protobuf=decode_body)
    seed.seed_crds(store, shipped_crds(), timestamp(clock.now()))
    custom = CustomKinds(server, catalog)
    server.ownership = ownership
    registry.inside = api
    subresources.install(server, tokens)
    reviews.install(server, tokens, rules_of(authorizer))
    serve_openapi(server, catalog)
    runtime = containers.make(tokens, api) if controllers else None
    settings = ControllerSettings(ca_pem=certificates.ca.read_text(), mesh=mesh or MeshSettings(), runtime=runtime)
    if runtime is not None:
        streams.install(server, runtime)
    fresh = store.get("Namespace", "", "default") is None
    registry.prepare["Service"] = [
        lambda service, old, options: service_ip.admit(api, service, old, settings.service_cidr)
    ]
    issuer_routes.serve(server, tokens)
    TokenSecrets(registry, tokens, settings.ca_pem)
    registry.prepare["batch/Job"] = [job_pods.prepare]
    registry.prepare[signing.KIND] = [signing.prepare]
    seed.seed(registry)
    api_services = ApiServices(kinds)
    api_services.seed(store, clock.now())
    seed.seed_objects(registry, [*default_rbac_objects(), *seed.system_objects()])
    registry.admission = [*plugins((sidecars(settings.mesh),)), EscalationGuard(authorizer)]
    registry.judges = [*judges(kinds), signing.subject_restriction]
    cluster = Cluster(server, api, store, journal, clock, tokens, runtime=runtime)
    if controllers:
        if fresh:
            bootstrap.install(api, settings)
        cluster.runner = Runner(
            api,
            [
                api_services,
                ClusterRoleAggregation(),
                ResourceQuotaController(kinds),
                signing.CertificateSigner(certificates),
                *all_controllers(settings),
            ],
        )
    return cluster


def sidecars(mesh: MeshSettings) -> Admission:
    """The mesh's injection webhook, as a plugin."""

    def plugin(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
        if request.kind.id == "Pod" and request.operation == "CREATE" and not request.subresource:
            return inject(api, obj, request.namespace, mesh)
        return obj

    return plugin


def rules_of(authorizer: RbacAuthorizer) -> reviews.Rules:
    """The authorizer's rules as SelfSubjectRulesReview lists them."""

    def rules(user: User, namespace: str) -> tuple[list[Any], list[Any], str]:
        found, problem = authorizer.rules(user, namespace)
        return (
            [rule for rule in found if not rule.get("nonResourceURLs")],
            [rule for rule in found if rule.get("nonResourceURLs")],
            problem,
        )

    return rules
