"""`python3` in pods: everyday programs do what this machine's Python does; nothing of the machine is in reach."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from labrunner.sandbox.workload.machine.container import ContainerMachine
from labrunner.sandbox.workload.network import streams_of
from tests.unit.workload_world import World, run, sh


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.close()


@pytest.fixture
async def box(world: World) -> ContainerMachine:
    return world.pod("box", "python", command=["sleep", "infinity"])


PROGRAMS = [
    "print('hi', 1+2, [1, 2], {'a': 1}, (1,), 3.5, None, True, sep='-', end='!')",
    "x = 5\nwhile x:\n  x -= 1\n  if x == 3: continue\n  if x == 1: break\n  print(x)\nelse: print('never')\nprint(x)",
    "for i, c in enumerate('abc', 1): print(i, c)\nelse: print('end')",
    "def f(n): return 1 if n < 2 else n * f(n - 1)\nprint(f(12))",
    "def f(a, b=2, *c, d=4, **e): print(a, b, c, d, e)\nf(1); f(1, 2, 3, 4, d=5, z=6); f(b=1, a=2)",
    "def outer():\n  n = 0\n  def inner():\n    nonlocal n\n    n += 1\n    return n\n"
    "  return inner\ni = outer(); i(); print(i())",
    "n = 1\ndef f():\n  global n\n  n = 2\nf(); print(n)",
    "class A:\n  kind = 'a'\n  def __init__(self, x): self.x = x\n  def __str__(self): return f'A({self.x})'\n"
    "  def twice(self): return self.x * 2\nclass B(A):\n  def twice(self): return A.twice(self) + 1\n"
    "b = B(4); print(b, b.twice(), b.kind, isinstance(b, A))",
    "class E(Exception): pass\ntry:\n  raise E('boom')\nexcept E as e: print('got', e)\nfinally: print('done')",
    "try: int('x')\nexcept (ValueError, KeyError) as e: print(type(e) is ValueError, e)",
    "try: {}['k']\nexcept KeyError as e: print('missing', e)",
    "try: [][1]\nexcept Exception as e: print(e)",
    "print([i * i for i in range(6) if i % 2], {k: v for k, v in zip('ab', [1, 2])}, {1, 1}, sum(i for i in range(4)))",
    "a, *b = [1, 2, 3]; (c, d), e = (4, 5), 6; print(a, b, c, d, e)",
    "d = {'k': 1}; d['j'] = 2; del d['k']; print(d, d.get('q', 'none'), 'j' in d, len(d), list(d.items()))",
    "print('a,b'.split(','), ' x '.strip(), '-'.join(['a', 'b']), 'abc'[::-1], 'abc'["
    "1:], 'x' * 3, 'aXb'.replace('X', '-'))",
    "print(f'{3.14159:.2f} {5:>4} {\"a\"!r} {255:#x} {1234567:,}', '%05d|%-5s|%.1f' %"
    " (3, 'a', 1.25), '{} {n}'.format(1, n=2))",
    "print(sorted([3, 1, 2], key=lambda v: -v), sorted('bca'), max(1, 5), min([4, 2])"
    ", list(map(str, [1, 2])), list(reversed([1, 2])))",
    "import json; print(json.dumps({'b': [1, None, True], 'a': {}}, sort_keys=True), "
    "json.loads('[1, {\"x\": 2.5}]')[1]['x'])",
    "import sys; print(sys.argv, len(sys.argv)); sys.exit(3)",
    "import sys; sys.exit('told')",
    "import base64, math; print(base64.b64encode(b'hi'), math.sqrt(16), math.floor(2.7))",
    "x = [1, 2, 3]; x.append(4); x[0] = 9; x.sort(); print(x, x.pop(), x.index(2), 3 in x, x[-1], x + [0], not x)",
    "with open('/tmp/labrunner-python-test', 'w') as f: f.write('one\\ntwo\\n')\n"
    "for line in open('/tmp/labrunner-python-test'): print(line.rstrip())",
    "assert 1 == 1, 'fine'\nprint(1 if [] else 2, 1 < 2 < 3, None is None, 'a' or 'b', 0 and 1, (lambda a: a + 1)(1))",
    "print(b'ab' + b'c', b'abc'[0], bytes([65]), 'é'.encode(), b'\\xc3\\xa9'.decode()"
    ", int('ff', 16), hex(255), 7 // 2, -7 % 3, 2 ** 10)",
    "if (n := 3) > 2: print(n)\nx = 1; x <<= 3; x |= 1; print(x, ~x, x ^ 3)",
    "print([[r * c for c in range(3)] for r in range(2)], any([0, 1]), all([]), divmo"
    "d(7, 2), abs(-1), round(2.567, 1))",
]


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
async def test_programs_do_what_they_do_here(box: ContainerMachine, number: int) -> None:
    real = subprocess.run([sys.executable, "-c", PROGRAMS[number]], capture_output=True, text=True, timeout=30)
    outcome = await run(box, "python3", "-c", PROGRAMS[number])
    assert (outcome.out, outcome.code) == (real.stdout, real.returncode), outcome.err
    if real.stderr and "Traceback" not in real.stderr:
        assert outcome.err == real.stderr


@pytest.mark.parametrize(
    "text",
    [
        "1/0",
        "print(nope)",
        "import nope",
        "open('/none/file')",
        "int('x')",
        "def f(a): pass\nf()",
        "[].nope",
        "raise ValueError('v')",
        "'a' + 1",
        "None()",
        "class E(Exception): pass\nraise E('x')",
        "if True print(1)",
        "x = (",
        "assert 0, 'why'",
    ],
)
async def test_what_goes_wrong_is_told_in_pythons_words(box: ContainerMachine, text: str) -> None:
    real = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=30)
    outcome = await run(box, "python3", "-c", text)
    assert outcome.code == real.returncode == 1
    kind = real.stderr.strip().splitlines()[-1].partition(":")[0]
    assert outcome.err.strip().splitlines()[-1].partition(":")[0] == kind


async def test_where_programs_come_from(box: ContainerMachine) -> None:
    text = "echo 'import sys; print(sys.argv[1:])' > /tmp/a.py; python /tmp/a.py x y; echo 'print(6*7)' | python3; "
    text += "python3 - z < /tmp/a.py; echo '{\"a\": [1]}' | python3 -m json.tool; python3 /none.py; echo $?; python3 -V"
    outcome = await sh(box, text)
    assert outcome.out == "['x', 'y']\n42\n['z']\n{\n    \"a\": [\n        1\n    ]\n}\n2\nPython 3.13.7\n"
    assert outcome.err == "python3: can't open file '/none.py': [Errno 2] No such file or directory\n"


async def test_standard_input_and_environment(box: ContainerMachine) -> None:
    program = "import os, sys\nfor line in sys.stdin: print(line.strip().upper())\n"
    program += "print(os.environ['HOSTNAME'], os.getenv('NO', 'd'))"
    outcome = await run(box, "python3", "-c", program, stdin=b"one\ntwo\n")
    assert outcome.out == "ONE\nTWO\nbox d\n"


ECHO = """
import select, socketserver, sys, threading, time

class Listener:
    def __init__(self, port):
        self.server = socketserver.ThreadingTCPServer(("0.0.0.0", port), self.talk)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, name="port %s" % port)
        self.thread.daemon = True
        self.thread.start()

    def talk(self, request, address, server):
        waiting = b""
        while True:
            ready, free, _ = select.select([request], [request] if waiting else [], [])
            if ready:
                data = request.recv(1024)
                if not data:
                    break
                waiting += data
            if free:
                waiting = waiting[request.send(waiting):]

listeners = [Listener(int(port)) for port in sys.argv[1:]]
time.sleep(600)
"""


async def test_a_server_of_ones_own(world: World) -> None:
    server = world.pod(
        "server", "python", command=["sh", "-c", f"cat > /tmp/s.py <<'E'\n{ECHO}\nE\npython -u /tmp/s.py 1234 1235"]
    )
    client = world.pod("client", command=["sleep", "infinity"])
    network = server.pod.network.network
    async with asyncio.timeout(20):
        while not {1234, 1235} <= set(server.pod.network.listeners):
            await asyncio.sleep(0.01)
        for port in (1234, 1235):
            reader, writer = await streams_of(await network.open_socket(client.pod, server.pod.network.ip(), port))
            for word in (b"first", b"second"):
                writer.write(word)
                assert await reader.readexactly(len(word)) == word
            writer.close()


async def test_asking_a_service(world: World, box: ContainerMachine) -> None:
    world.pod("web", "nginx")
    world.service("web", 80, 80, "web")
    program = "import urllib.request\nr = urllib.request.urlopen('http://web/')\nprint(r.status, b'nginx' in r.read())"
    assert (await run(box, "python3", "-c", program)).out == "200 True\n"
    failed = await run(box, "python3", "-c", "import urllib.request; urllib.request.urlopen('http://web/none')")
    assert failed.err.endswith("HTTP Error 404: Not Found\n") and failed.code == 1


@pytest.mark.parametrize(
    "text",
    [
        "().__class__",
        "''.__class__.__mro__",
        "print('{0.__class__}'.format(1))",
        "print('{0[__class__]}'.format({}))",
        "(lambda: 0).__globals__",
        "print.__self__",
        "len.call",
        "import subprocess",
        "import ctypes",
        "import importlib",
        "import builtins",
        "from os import system",
        "import os; os.system('id')",
        "eval('1')",
        "exec('1')",
        "compile('1', '', 'eval')",
        "__import__('os')",
        "globals()",
        "vars()",
        "type('A', (), {})",
        "getattr((), '__class__')",
        "class A: pass\nA.__subclasses__()",
        "class A: pass\nA().__dict__",
        "try: 1/0\nexcept Exception as e: e.__traceback__.tb_frame",
        "import sys; sys._getframe()",
        "import sys; sys.modules",
        "f'{().__class__}'",
        "[].__reduce__()",
        "open.__globals__",
        "import json; json.codecs",
        "import os; os.path.os",
        "import threading; threading.current_thread().task",
        "(1).to_bytes(10**9, 'big')",
        "import socket; socket.create_connection(('127.0.0.1', 22))",
        "open('/proc/self/environ').fileno()",
    ],
)
async def test_there_is_no_way_out(box: ContainerMachine, text: str) -> None:
    outcome = await run(box, "python3", "-c", text)
    assert (outcome.out, outcome.code) == ("", 1)
    assert "Error" in outcome.err and "internal error" not in outcome.err


@pytest.mark.parametrize(
    "text",
    [
        "while True: pass",
        "x = 'a'\nwhile True: x += x",
        "x = [0]\nwhile True: x = x + x",
        "[0] * 10**9",
        "9 ** 9 ** 9",
        "1 << 10**9",
        "'%1000000000d' % 1",
        "f'{1:1000000000}'",
        "'x'.ljust(10**10)",
        "list(range(10**10))",
        "sum(range(10**10))",
        "def f(): f()\nf()",
        "x = []\nwhile True: x.append(x)",
        "sorted(range(10**9))",
        "'a'.join(['b' * 10**6] * 10**3)",
        "for i in range(10**12): pass",
        "x = {}\ni = 0\nwhile True:\n  x[i] = i; i += 1",
        "('a' * 10**6).replace('a', 'b' * 10**6)",
        "import threading\ndef f():\n  while True: pass\nfor i in range(99): threading.Th"
        "read(target=f).start()\nwhile True: pass",
        "[[] for a in range(10**6) for b in range(10**6)]",
        "print('x' * 10**6 * 10**6)",
        "int('9' * 10**6)",
    ],
)
async def test_greed_has_limits(world: World, box: ContainerMachine, text: str) -> None:
    other = world.pod("other", command=["sleep", "infinity"])
    running = asyncio.ensure_future(run(box, "python3", "-c", text))
    for _ in range(10):
        began = time.monotonic()
        assert (await sh(other, "echo fine")).out == "fine\n"
        assert time.monotonic() - began < 10
    box.kill_all(9)
    async with asyncio.timeout(20):
        outcome = await running
    assert outcome.code in (1, 137) and "internal error" not in outcome.err
