"""A lab, an engine and a library that follow a script: the same protocols as the real ones, no process, no clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from labrunner.check.http_probe import Request
from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.lab.model import Block, Check, Expect, Lab, Part, Requires, Step, TargetedHint
from labrunner.run import events as ev
from labrunner.run.going_back import BackPlan
from labrunner.run.mesh.source import MeshSource
from labrunner.run.protocol import Attempt, Hint, Listener
from labrunner.tui.library import Entry, Opening, Options

INSTRUCTIONS_CA = """\
Every certificate in this lab is signed by one **certificate authority** of your own. Create its key and
certificate first; they end up in `certs/`.

```run:make-ca
```

Look at what you made. A CA certificate must say so in its *basic constraints*:

```run:show-ca
```

> Browsers and API Management refuse a certificate whose CA flag is missing.
"""

INSTRUCTIONS_GATEWAY = """\
The `Gateway` below listens on 443 and presents the certificate you stored as secret `apim-tls`.

```yaml
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: apim
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: apim-tls}
    hosts: ["api.contoso.example"]
```

| field | meaning |
|---|---|
| `credentialName` | the secret, in the gateway's own namespace |
| `hosts` | what SNI the listener answers |

1. Apply it.
2. Look at what the API server kept.

```run:apply-gateway
```

```run:delete-gateway
```
"""


def make_lab(lab_id: str = "apim-istio", title: str = "Publish an Istio mesh through API Management") -> Lab:
    """Three parts, five steps: blocks of every sort, a quiz, long texts."""
    ca = Step(
        id="ca",
        title="A certificate authority of your own",
        instructions=INSTRUCTIONS_CA,
        blocks=(
            Block(
                "make-ca",
                "openssl req -x509 -newkey rsa:2048 -nodes -days 365 \\\n"
                "  -keyout certs/ca.key -out certs/ca.crt -subj '/CN=Contoso Lab CA'",
                "Create the key and the certificate",
            ),
            Block("show-ca", "openssl x509 -in certs/ca.crt -noout -subject -ext basicConstraints", "Look at it"),
        ),
        checks=(
            Check("ca-is-ca", "certificate", {}, "certs/ca.crt is a certificate authority"),
            Check("ca-key", "certificate", {}, "certs/ca.key belongs to certs/ca.crt"),
        ),
        hints=(
            "`openssl req -x509` makes a self-signed certificate in one go.",
            "Add `-addext basicConstraints=critical,CA:TRUE`.",
        ),
        solution=(
            Block(
                "solve-ca",
                "openssl req -x509 -newkey rsa:2048 -nodes -keyout certs/ca.key -out certs/ca.crt "
                "-subj '/CN=Contoso Lab CA' -addext basicConstraints=critical,CA:TRUE",
                "Create the CA",
            ),
        ),
    )
    gateway = Step(
        id="gateway",
        title="An HTTPS Gateway that presents the certificate of api.contoso.example",
        instructions=INSTRUCTIONS_GATEWAY,
        blocks=(
            Block("apply-gateway", "kubectl apply -f gateway.yaml", "Apply the Gateway"),
            Block(
                "delete-gateway",
                "kubectl delete gateway apim",
                "Start over",
                confirm="This deletes the Gateway; requests fail until you apply it again.",
            ),
        ),
        checks=(
            Check("gateway-tls", "resource", {}, "Gateway apim terminates TLS with apim-tls"),
            Check("gateway-host", "resource", {}, "Gateway apim answers for api.contoso.example"),
            Check("gateway-san", "certificate", {}, "the certificate names api.contoso.example"),
        ),
        hints=(
            "Look at `spec.servers[0].tls`.",
            "The secret's name goes into `credentialName`.",
            "Compare with the text above, line by line.",
        ),
        targeted_hints=(
            TargetedHint(
                "wrong-mode",
                "gateway-tls",
                "`PASSTHROUGH` leaves TLS to the workload; this Gateway must end it: `SIMPLE`.",
            ),
        ),
        solution=(
            Block("solve-gateway", "kubectl apply -f solution/gateway.yaml", "Apply the Gateway as it should be"),
        ),
    )
    quiz = Step(
        id="quiz",
        title="Who checks the certificate?",
        instructions="A client connects to the gateway with TLS. Think before you answer.",
        checks=(
            Check(
                "who",
                "quiz",
                {
                    "question": "Whose certificate does the client verify?",
                    "choices": ["the workload's", "the gateway's", "the CA's own"],
                },
                "who is verified",
            ),
        ),
        hints=("Who ends TLS here?",),
    )
    watch = Step(
        id="watch",
        title="Watch requests arrive",
        instructions="Start the watcher; it keeps running while you go on.\n\n```run:watch\n```\n\n```run:edit\n```\n",
        blocks=(
            Block("watch", "kubectl logs -f deploy/httpbin &", "Follow the log", background=True),
            Block("edit", "vim virtualservice.yaml", "Edit the route", interactive=True, expect=Expect(exit=0)),
        ),
        checks=(Check("route", "resource", {}, "VirtualService apim-httpbin routes /httpbin"),),
        hints=("Mind the prefix.",),
        solution=(Block("solve-watch", "kubectl apply -f solution/virtualservice.yaml"),),
    )
    read = Step(id="read", title="What you built", instructions="# Well done\n\nNothing left to do here: read on.")
    return Lab(
        id=lab_id,
        title=title,
        summary="Make certificates, open an HTTPS Gateway with them, route to a service, and prove each hop.",
        level="intermediate",
        minutes=45,
        directory=Path("/labs") / lab_id,
        parts=(
            Part("certificates", "Certificates", (ca,), "You can make a CA and know what clients look at."),
            Part("entry", "The way in", (gateway, quiz), "You can open a Gateway that ends TLS."),
            Part("routes", "Routes", (watch, read)),
        ),
        tags=("istio", "tls", "apim"),
        source="000-apim-istio-lab.md, parts 1 and 2",
        requires=Requires(tools=("openssl",), features=("kubernetes", "istio-crds")),
        digest="d1",
    )


class ScriptedEngine:
    """`outcomes`: block id -> BlockFinished.outcome (ok unless named). `failing`: check id -> finding."""

    def __init__(self, lab: Lab, history: Sequence[ev.Event] = ()) -> None:
        self.lab = lab
        self.outcomes: dict[str, str] = {}
        self.failing: dict[str, Finding | CheckStatus] = {}
        self.errors: dict[str, BaseException] = {}
        """Method name -> what it raises."""
        self.calls: list[tuple[object, ...]] = []
        self.typed = ""
        self.plan: BackPlan | None = None
        self.work = Path("/nowhere")
        self.diffs: dict[str, str] = {}
        self.closed = ""
        self.hold = threading.Event()
        """While cleared, blocks and `start` do not return."""
        self.hold.set()
        self.waits = threading.Event()
        """While cleared, checks do not finish."""
        self.waits.set()
        self.values: dict[str, str] = {}
        self.mesh: MeshSource | None = None
        self.requests: dict[str, Sequence[Request]] = {}
        """Check id -> what it sends."""
        self.sinks: list[Callable[[bytes], None]] = []
        self._listeners: list[Listener] = []
        self._history = list(history)
        self._now = max((event.at for event in history), default=1000.0)
        self._hints: dict[str, int] = {}
        self._attempts: dict[str, int] = {}

    def _say(self, cls: type[ev.Event], **fields: object) -> ev.Event:
        self._now += 1
        event = cls(at=self._now, **fields)  # type: ignore[arg-type]
        if event.durable:
            self._history.append(event)
        for listener in list(self._listeners):
            listener(event)
        return event

    def _called(self, name: str, *args: object) -> None:
        self.calls.append((name, *args))
        if name in self.errors:
            raise self.errors[name]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tap(self, sink: Callable[[bytes], None]) -> Callable[[], None]:
        self.sinks.append(sink)
        return lambda: self.sinks.remove(sink)

    def history(self) -> Sequence[ev.Event]:
        return list(self._history)

    def print(self, text: str) -> None:
        for sink in list(self.sinks):
            sink(text.replace("\n", "\r\n").encode())

    def start(self) -> None:
        self.hold.wait(10)
        self._called("start")
        resumed = bool(self._history)
        self._say(ev.SessionStarted, lab=self.lab.id, lab_digest=self.lab.digest, target="sandbox", resumed=resumed)
        self.print("\x1b[32mlab\x1b[0m:\x1b[34m~/apim-istio\x1b[0m$ ")

    def enter(self, step: Step) -> None:
        self._called("enter", step.id)
        self._say(ev.StepEntered, step=step.id)

    def run_block(self, step: Step, block: Block, *, role: str = "block") -> ev.BlockFinished:
        self._called("run_block", step.id, block.id, role)
        self._say(ev.BlockStarted, step=step.id, block=block.id, role=role, command=block.run)
        self.print(block.run + "\n")
        outcome = self.outcomes.get(block.id, "started" if block.background else "ok")
        output = "configured\n" if outcome == "ok" else 'error: no matches for kind "Gateway"\n'
        self._say(ev.BlockOutput, step=step.id, block=block.id, text=output)
        self.hold.wait(10)
        self.print(output + "\x1b[32mlab\x1b[0m:\x1b[34m~/apim-istio\x1b[0m$ ")
        code = {"ok": 0, "started": None, "unexpected-output": 0}.get(outcome, 1)
        finished = self._say(
            ev.BlockFinished,
            step=step.id,
            block=block.id,
            role=role,
            exit=code,
            outcome=outcome,
            output=output,
            cwd="/labs",
            seconds=0.4,
        )
        assert isinstance(finished, ev.BlockFinished)
        return finished

    def interrupt(self) -> None:
        self._called("interrupt")
        self.hold.set()

    def go_live(self) -> None:
        self._called("go_live")

    def stop_waiting(self) -> None:
        self._called("stop_waiting")
        self.waits.set()

    def send_input(self, text: str) -> None:
        self.typed += text

    def resize(self, rows: int, columns: int) -> None:
        self.calls.append(("resize", rows, columns))

    def check(self, step: Step) -> Attempt:
        self._called("check", step.id)
        results = []
        for check in step.checks:
            self._say(ev.CheckStarted, step=step.id, check=check.id)
        self.waits.wait(10)
        for check in step.checks:
            problem = self.failing.get(check.id)
            status = CheckStatus.PASSED
            findings: tuple[Finding, ...] = ()
            if isinstance(problem, CheckStatus):
                status = problem
                findings = (Finding("unreachable", "The cluster at 127.0.0.1:6443 does not answer."),)
            elif problem is not None:
                status, findings = CheckStatus.FAILED, (problem,)
            result = CheckResult(check.id, check.title, status, findings, findings[0].message if findings else "holds")
            results.append(result)
            self._say(ev.CheckFinished, step=step.id, check=check.id, result=result)
        number = self._attempts[step.id] = self._attempts.get(step.id, 0) + 1
        attempt = Attempt(step.id, number, tuple(results))
        self._say(ev.AttemptFinished, step=step.id, number=number, passed=attempt.passed)
        if attempt.passed:
            self._say(ev.StepStateChanged, step=step.id, state="passed")
        return attempt

    def answer(self, step: Step, check_id: str, answer: str) -> None:
        self._called("answer", step.id, check_id, answer)
        self._say(ev.AnswerGiven, step=step.id, check=check_id, answer=answer)

    def hint(self, step: Step) -> Hint | None:
        self._called("hint", step.id)
        shown = self._hints.get(step.id, 0)
        if shown >= len(step.hints):
            return None
        self._hints[step.id] = shown + 1
        self._say(ev.HintShown, step=step.id, hint=f"#{shown + 1}", text=step.hints[shown])
        return Hint(f"#{shown + 1}", step.hints[shown], len(step.hints) - shown - 1)

    def show_solution(self, step: Step) -> Sequence[Block]:
        self._called("show_solution", step.id)
        self._say(ev.SolutionShown, step=step.id)
        return step.solution

    can_undo = False

    @property
    def workdir(self) -> Path:
        return self.work

    def note(self, step: Step, text: str) -> None:
        self._called("note", step.id, text)
        self._say(ev.NoteWritten, step=step.id, text=text)

    def plan_back(self, step: Step) -> BackPlan | None:
        return self.plan

    def go_back(self, step: Step) -> None:
        self._called("go_back", step.id)
        self.can_undo = True
        self._say(ev.StepReset, step=step.id)
        self._say(ev.StepEntered, step=step.id)

    def steps_before(self, step: Step) -> Sequence[Step]:
        return self.lab.steps[: self.lab.steps.index(step)]

    def jump_to(self, step: Step) -> None:
        self._called("jump_to", step.id)
        self.can_undo = True
        for before in self.steps_before(step):
            self._say(ev.StepStateChanged, step=before.id, state="passed")

    def undo(self) -> str:
        self._called("undo")
        self.can_undo = False
        return self.lab.steps[0].id

    def solution_diff(self, step: Step) -> dict[str, str]:
        self._called("solution_diff", step.id)
        return self.diffs

    def requests_of(self, step: Step, check: Check) -> Sequence[Request]:
        self._called("requests_of", step.id, check.id)
        return self.requests.get(check.id, ())

    def solve(self, step: Step) -> list[ev.BlockFinished]:
        self._called("solve", step.id)
        return [self.run_block(step, block, role="solution") for block in step.solution]

    def skip(self, step: Step) -> None:
        self._called("skip", step.id)
        self._say(ev.StepStateChanged, step=step.id, state="skipped")

    def close(self, reason: str = "quit") -> None:
        self.hold.set()
        self.waits.set()
        self.closed = reason


class ScriptedLibrary:
    """`held`, `untrusted`, `broken`: the ways in which opening may go."""

    def __init__(self, *entries: Entry, engine: ScriptedEngine | None = None) -> None:
        self.listed: Sequence[Entry] = entries
        self.engine = engine
        self.engines: list[ScriptedEngine] = []
        self.held: LabrunnerError | None = None
        self.untrusted: set[str] = set()
        self.fault: LabrunnerError | None = None
        self.opened: list[tuple[str, Options, bool, bool]] = []

    def entries(self) -> Sequence[Entry]:
        if self.fault is not None:
            raise self.fault
        return self.listed

    def trusted(self, lab: Lab) -> bool:
        return lab.id not in self.untrusted

    def trust(self, lab: Lab) -> None:
        self.untrusted.discard(lab.id)

    def tour(self, key: Callable[[str], str]) -> Lab:
        return make_lab("tour", f"The tour; {key('lab.run')} runs")

    def open(self, lab: Lab, options: Options, *, takeover: bool = False, look_on: bool = False) -> Opening:
        self.opened.append((lab.id, options, takeover, look_on))
        if self.held is not None and not (takeover or look_on):
            raise self.held
        if options.context == "gone":
            raise EnvironmentFault("the context gone is not in your kubeconfig", hint="kubectl config get-contexts")
        engine = self.engine or ScriptedEngine(lab)
        self.engines.append(engine)
        return Opening(engine, options, read_only=look_on)


def make_library(engine: ScriptedEngine | None = None) -> ScriptedLibrary:
    """Five labs: one begun, one finished, one with prerequisites, one broken."""
    lab = make_lab()
    zero = make_lab("zero-trust", "Zero-trust segmentation with authorization policies")
    first = make_lab("first-pod", "Your first pod")
    mtls = make_lab("mtls", "Mutual TLS in production, from permissive to strict, without an outage at any time")
    import dataclasses

    first = dataclasses.replace(
        first, level="beginner", minutes=15, tags=("kubernetes",), summary="Run, look at, and delete a pod."
    )
    zero = dataclasses.replace(zero, level="advanced", minutes=90, tags=("istio", "security"))
    mtls = dataclasses.replace(mtls, level="advanced", minutes=60, tags=("istio", "tls"))
    return ScriptedLibrary(
        Entry("first-pod", first, 5, True, True),
        Entry("apim-istio", lab, 2, True),
        Entry("mtls", mtls, missing=("Publish an Istio mesh through API Management",)),
        Entry("zero-trust", zero),
        Entry("broken", None, problem="labs/broken/lab.yaml:12:3: unknown key `stepz`; did you mean `steps`?"),
        engine=engine,
    )
