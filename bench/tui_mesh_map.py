"""Time to redraw the mesh map of 40 workloads on the real screen, and the CPU of a map that stands still.

The real screen of 160x48 without a terminal behind it, fed as the sandbox feeds it. Usage: bench/tui_mesh_map.py [RUNS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tui"), str(ROOT / "bench")]

from figures import Figures  # noqa: E402
from scripted_lab import ScriptedEngine, make_lab  # noqa: E402
from scripted_mesh import ScriptedMesh, request_edge, workload  # noqa: E402
from stage import running  # noqa: E402

from labrunner.run.mesh.picture import Node, Picture  # noqa: E402
from labrunner.tui.mesh.drawing import draw  # noqa: E402
from labrunner.tui.symbols import UNICODE  # noqa: E402
from labrunner.tui.widgets.mesh_map import MeshMap  # noqa: E402

WORKLOADS, CALLS = 40, 3
LIMIT = 50.0
"""Milliseconds."""
IDLE = 5.0
"""Seconds that the map is left alone."""


def shop(count: int) -> Picture:
    """Workloads of four namespaces that call three others each, some in circles."""
    nodes = [workload("abcd"[n % 4], f"service-{n}", mtls="STRICT", policies=n % 3) for n in range(count)]
    nodes.append(Node("outside", "internet", kind="client"))
    edges = {
        (nodes[n].id, nodes[(n * 7 + k * 5 + 1) % count].id): request_edge(
            nodes[n].id, nodes[(n * 7 + k * 5 + 1) % count].id, verdict="denied" if (n + k) % 9 == 0 else "allowed"
        )
        for n in range(count)
        for k in range(CALLS)
    }
    edges[("outside", nodes[0].id)] = request_edge("outside", nodes[0].id, mtls=False)
    return Picture(tuple(nodes), tuple(edges.values()), known=True)


async def main(runs: int) -> int:
    picture = shop(WORKLOADS)
    figures = Figures()
    lab = make_lab()
    engine = ScriptedEngine(lab)
    engine.mesh = source = ScriptedMesh(picture)
    async with running(lab=lab, engine=engine, size=(160, 48)) as stage:
        await stage.press("m")
        await stage.shows("service-0")
        shown = stage.app.screen.query_one(MeshMap)
        took: dict[str, list[float]] = {"same": [], "other": []}
        cpu_of: dict[str, list[float]] = {"same": [], "other": []}
        for number in range(runs):
            for what in took:
                if what == "same":  # other rates and verdicts, the same wires
                    edges = tuple(replace(e, rate=(number % 7) + 0.5, wrong=number % 2) for e in picture.edges)
                else:  # another wire: everything is placed anew
                    extra = request_edge("a/service-0", f"{'abcd'[(number % 39 + 1) % 4]}/service-{number % 39 + 1}")
                    edges = (*(e for e in picture.edges if e.key != extra.key), extra)
                source.now = replace(picture, edges=edges)
                began, busy = time.perf_counter(), time.process_time()
                stage.app.screen._take_picture()  # type: ignore[attr-defined]
                stage.app.screen._compositor.render_strips()
                took[what].append((time.perf_counter() - began) * 1000)
                cpu_of[what].append((time.process_time() - busy) * 1000)
                await stage.pilot.pause()
        size = "x".join(map(str, shown.virtual_size))
        note = f"{len(picture.edges)} wires, {size} cells"
        figures.add("40 workloads redrawn, other rates, median", statistics.median(took["same"]), "ms", LIMIT, note)
        figures.add("its CPU time, median", statistics.median(cpu_of["same"]), "ms", LIMIT)
        figures.add("40 workloads placed anew and drawn, median", statistics.median(took["other"]), "ms", LIMIT)
        figures.add("its CPU time, median", statistics.median(cpu_of["other"]), "ms", LIMIT)
        cpu = time.process_time()
        await asyncio.sleep(IDLE)
        figures.add("CPU of a map that stands still", (time.process_time() - cpu) / IDLE * 100, "%", 1.0)
    began = time.perf_counter()
    draw(picture, UNICODE, 160)
    figures.add("layout and drawing alone", (time.perf_counter() - began) * 1000, "ms")
    return int(figures.missed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)))
