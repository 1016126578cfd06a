"""The mesh of a target: of a sandbox with traffic, traces and identities; of a live cluster its workloads, and requests
that are really sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labrunner.check.http_probe import Answer, Request, must_have_curl, perform
from labrunner.check.mesh_questions import way_query
from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.run.mesh.following import Follower
from labrunner.run.mesh.live_workloads import live_picture
from labrunner.run.mesh.picture import Picture, Resources, picture_of, resources_of
from labrunner.run.mesh.sending import stream
from labrunner.run.mesh.source import Exchange, Stop
from labrunner.run.mesh.way import Way, way_from
from labrunner.target.base import Target

PATH = "/labrunner/mesh"
NEWS_WITHIN = 10.0
"""Seconds that one question for news waits in the sandbox."""
LIVE_EVERY = 15.0
"""Seconds between two looks at a live cluster's workloads."""
AT_ONCE = 4
"""Callers that send at the same time."""
NOT_LIVE = (
    "A live cluster keeps its proxies' access logs to itself: who talks to whom is drawn from requests sent here only, "
    "and there is no trace hop by hop. The sandbox has both."
)


class TargetMesh:
    """Implements `MeshSource`. `place`: (directory, environment) of the lab's shell, where requests start."""

    def __init__(self, target: Target, place: Callable[[], tuple[Path, Mapping[str, str]]]) -> None:
        self._target, self._place = target, place
        self._version = ""
        self._asked = False
        self._closed = threading.Event()
        self._follower = Follower(self._ask)

    @property
    def untraced(self) -> str:
        return "" if self._target.name == "sandbox" else NOT_LIVE

    def picture(self) -> Picture:
        return self._follower.picture

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        return self._follower.subscribe(changed)

    def close(self) -> None:
        self._closed.set()
        self._follower.close()

    # -- the picture

    def _ask(self, before: Picture) -> Picture:
        if self._target.name != "sandbox":
            if before.known:
                self._closed.wait(LIVE_EVERY)
            return live_picture(self._target.kube(), NOT_LIVE)
        query = {"since": self._version, "wait": f"{NEWS_WITHIN:g}"} if before.known and not before.unavailable else {}
        document = self._raw("graph", query)
        self._version = document["version"]
        found = picture_of(document)
        if not found.problem and "mesh" not in self._target.features:
            found = Picture(found.nodes, found.edges, _no_envoy(), found.pending, known=True)
        return found

    def _raw(self, what: str, query: Mapping[str, str]) -> Any:
        kube = self._target.kube()
        raw = getattr(kube, "raw", None)
        found = raw(f"{PATH}/{what}", query) if raw is not None else None
        if found is None:
            raise EnvironmentFault("This cluster does not tell of its mesh.", hint="Only a sandbox does.")
        return found

    def resources(self, node_id: str) -> Resources | None:
        if self.untraced:
            raise EnvironmentFault("A live cluster is looked at with kubectl.", hint="The sandbox shows it here.")
        try:
            return resources_of(self._raw("node", {"id": node_id}))
        except EnvironmentFault:
            if self.picture().node(node_id) is None:
                return None
            raise

    def way(self, request_id: str, request: Request) -> Way:
        query = {"request_id": request_id, "url": request.url}
        return way_from(self._raw("way", query))

    # -- requests

    def send(self, request: Request, times: int = 1) -> Exchange:
        cwd, environment = self._place()
        began = time.time()
        try:
            answers = perform(request, cwd, environment, times)
        except LabrunnerError as error:
            return Exchange(request, fault=error.message, at=began)
        return self._traced(Exchange(request, answers[-1], at=began, answers=tuple(answers)))

    def _traced(self, exchange: Exchange) -> Exchange:
        answer = exchange.answer
        assert answer is not None
        if self.untraced:
            return replace(exchange, untraced=self.untraced)
        if self._unseen(exchange.request):
            return replace(exchange, way=Way(why="neither end has a sidecar", plain=True))
        try:
            return replace(exchange, way=way_from(self._raw("way", way_query(exchange.request, answer))))
        except LabrunnerError as error:
            return replace(exchange, untraced=error.message)

    def _unseen(self, request: Request) -> bool:
        """Whether surely no proxy sees it: neither end has one. Asking for its hops would be waiting in vain."""
        nodes = self.picture().nodes
        host = urlsplit(request.url).hostname or ""
        called = [node for node in nodes if any(service.host == host for service in node.services)]
        pod = request.source.removeprefix("pod/")
        callers = [node for node in nodes if node.caller == pod and node.namespace == request.namespace]
        return bool(called and callers) and not any(node.in_mesh for node in (*called, *callers))

    def send_all(
        self, requests: Sequence[Request], each: Callable[[int, Exchange], None], stop: Stop = lambda: False
    ) -> None:
        cwd, environment = self._place()
        callers: dict[tuple[str, str, str], list[int]] = {}
        for index, request in enumerate(requests):
            callers.setdefault((request.source, request.namespace, request.container), []).append(index)

        def ended() -> bool:
            return stop() or self._closed.is_set()

        with ThreadPoolExecutor(AT_ONCE) as senders, ThreadPoolExecutor(2 * AT_ONCE) as tracers:

            def one_caller(mine: Sequence[int]) -> None:
                if ended():
                    return
                left = set(mine)

                def answered(number: int, answer: Answer) -> None:
                    index = mine[number]
                    left.discard(index)
                    tracers.submit(tell, index, answer)

                try:
                    stream([requests[index] for index in mine], cwd, environment, answered, ended)
                except LabrunnerError as error:
                    for index in sorted(left):
                        each(index, Exchange(requests[index], fault=error.message, at=time.time()))

            def tell(index: int, answer: Answer) -> None:
                if ended():
                    return
                exchange = Exchange(requests[index], answer, at=time.time() - answer.seconds)
                try:
                    must_have_curl(requests[index], [answer])
                except EnvironmentFault as error:
                    each(index, Exchange(requests[index], fault=error.message, at=exchange.at))
                    return
                each(index, self._traced(exchange))

            list(senders.map(one_caller, callers.values()))


def _no_envoy() -> str:
    from labrunner.sandbox.mesh.envoy import find_envoy

    try:
        find_envoy()
    except EnvironmentFault as error:
        return f"{error.message}. {error.hint}"
    return ""
