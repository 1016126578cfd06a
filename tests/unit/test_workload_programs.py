"""Tools in pods: what they print, and how they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from labrunner.sandbox.workload.machine.container import ContainerMachine
from tests.unit.workload_world import World, run, sh


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.close()


@pytest.fixture
async def box(world: World) -> ContainerMachine:
    return world.pod("box", command=["sleep", "infinity"])


CASES = {
    "head and tail": ("seq 10 | head -3 | tail -1; seq 5 | tail -n +4; seq 3 | head -n -1", "3\n4\n5\n1\n2\n"),
    "wc": ("printf 'a b\\nc\\n' | wc -l; printf 'a b\\nc\\n' | wc -w; printf abc | wc -c", "2\n3\n3\n"),
    "grep": ("printf 'Foo\\nbar\\nfoobar\\n' | grep -i foo; printf 'a\\nb\\n' | grep -vc a; echo x1y2 | grep -oE "
             "'[0-9]'", "Foo\nfoobar\n1\n1\n2\n"),
    "grep status": ("echo a | grep -q b; echo $?; grep x /none; echo $?", "1\n2\n"),
    "grep words and context": ("printf '1\\n2\\n3\\n4\\n' | grep -A1 -n 2; echo 'foobar foo' | grep -ow foo",
                               "2:2\n3-3\nfoo\n"),
    "sed": ("echo aXbX | sed 's/X/-/'; echo aXbX | sed 's/X/-/g'; seq 5 | sed -n '2,3p'; seq 3 | sed 2d",
            "a-bX\na-b-\n2\n3\n1\n3\n"),
    "sed groups": ("echo key=val | sed -E 's/(.*)=(.*)/\\2=\\1/'; echo /a/b | sed 's|/|:|g'; echo hi | sed 's/.*/[&]/'",
                   "val=key\n:a:b\n[hi]\n"),
    "sed in place": ("printf 'a\\nb\\n' > /tmp/f; sed -i 's/a/z/; /b/d' /tmp/f; cat /tmp/f", "z\n"),
    "sed text": ("seq 2 | sed '1i\\\nfirst'; seq 2 | sed '$a end'; seq 3 | sed '/2/c two'",
                 "first\n1\n2\n1\n2\nend\n1\ntwo\n3\n"),
    "sed loop": ("seq 3 | sed ':a;N;$!ba;s/\\n/,/g'", "1,2,3\n"),
    "awk": ("printf 'a 1\\nb 2\\n' | awk '{s+=$2; print $1} END {print s, NR}'; echo a:b | awk -F: '{print $2}'",
            "a\nb\n3 2\nb\n"),
    "awk programs": ("echo 5 | awk 'BEGIN{OFS=\"-\"} $1>3 {printf \"%d%s\\n\", $1, toupper(\"x\"); $1=9; print $0, "
                     "NF}'", "5X\n9-1\n"),
    "awk arrays": ("printf 'a\\nb\\na\\n' | awk '{c[$1]++} END {for (k in c) print k, c[k]}' | sort", "a 2\nb 1\n"),
    "awk functions": ("awk 'function f(n) { return n<2 ? 1 : n*f(n-1) } BEGIN { print f(10), substr(\"hello\",2,3), "
                      "length(\"abc\") }'", "3628800 ell 3\n"),
    "cut and tr": ("echo a,b,c | cut -d, -f1,3; echo hello | cut -c2-3; echo abc | tr a-c A-C; echo aabb | tr -s a; "
                   "echo a1b2 | tr -d 0-9", "a,c\nel\nABC\nabb\nab\n"),
    "sort": ("printf '10\\n9\\n1\\n' | sort -n; printf 'b 1\\na 2\\n' | sort -k2; printf 'a\\na\\nb\\n' | uniq -c",
             "1\n9\n10\nb 1\na 2\n      2 a\n      1 b\n"),
    "xargs": ("printf 'a b\\nc' | xargs echo x; printf '1\\n2\\n' | xargs -I{} echo n{}; seq 4 | xargs -n2",
              "x a b c\nn1\nn2\n1 2\n3 4\n"),
    "tee": ("echo t | tee /tmp/t1 /tmp/t2; cat /tmp/t1 /tmp/t2", "t\nt\nt\n"),
    "base64": ("printf hello | base64; echo aGVsbG8= | base64 -d", "aGVsbG8=\nhello"),
    "checksums": ("printf a | md5sum; printf a | sha256sum", "0cc175b9c0f1b6a831c399e269772661  "
        "-\nca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  -\n"),
    "find": ("mkdir -p /tmp/d/e; touch /tmp/d/a.txt /tmp/d/e/b.txt; find /tmp/d -name '*.txt' | sort; find /tmp/d "
             "-type d | wc -l", "/tmp/d/a.txt\n/tmp/d/e/b.txt\n2\n"),
    "find exec": ("mkdir /tmp/q; echo 1 > /tmp/q/x; find /tmp/q -type f -exec cat {} \\;; find /tmp/q -type f "
                  "-delete; ls /tmp/q", "1\n"),
    "cp mv rm": ("cd /tmp; echo c > a; cp a b; mv b d; cat d; rm a d; ls", "c\n"),
    "copy of a tree": ("cd /tmp; mkdir -p s/t; echo x > s/t/f; cp -r s u; cat u/t/f; rm -rf s u; ls", "x\n"),
    "links": ("cd /tmp; echo l > f; ln -s f g; cat g; readlink g; rm f; cat g", "l\nf\n"),
    "modes": ("cd /tmp; touch f; chmod 640 f; stat -c %a f; chmod u+x,g-r f; stat -c '%a %A' f",
              "640\n700 -rwx------\n"),
    "seq and expr": ("seq 2 2 6; seq -s, 3; expr 3 + 4 \\* 2; expr abc : 'a\\(.\\)'", "2\n4\n6\n1,2,3\n11\nb\n"),
    "date": ("date -u -d @0 +%Y-%m-%dT%H:%M:%SZ", "1970-01-01T00:00:00Z\n"),
    "env": ("A=1 env -i B=2 env; printenv HOME", "B=2\n/root\n"),
    "tar": ("cd /tmp; mkdir t; echo in > t/f; tar cf - t | (mkdir x; cd x; tar xf -); cat x/t/f; tar czf a.tgz t; "
            "tar tzf a.tgz", "in\nt/\nt/f\n"),
    "gzip": ("cd /tmp; echo z > f; gzip f; ls f*; gunzip f.gz; cat f", "f.gz\nz\n"),
    "timeout": ("timeout 0.05 sleep 5; echo $?", "143\n"),
    "id": ("id; whoami; hostname", "uid=0(root) gid=0(root) groups=0(root)\nroot\nbox\n"),
    "devices": ("echo x > /dev/null; head -c 3 /dev/zero | wc -c; cat /dev/null; echo e > /dev/stdout", "3\ne\n"),
    "proc": ("cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline", "sleep\nsleep infinity "),
    "follow a file": ("echo a > /tmp/l; timeout 1 tail -f /tmp/l & sleep 0.1; echo b >> /tmp/l; wait", "a\nb\n"),
    "jobs die with their shell": ("sleep 100 & kill $!; wait $!; echo $?", "143\n"),
    "dirname": ("basename /a/b.txt .txt; dirname /a/b", "b\n/a\n"),
    "nproc and uname": ("uname -s; uname -m", "Linux\nx86_64\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_tools(box: ContainerMachine, name: str) -> None:
    text, expected = CASES[name]
    assert (await sh(box, text)).out == expected


async def test_images_have_only_their_own_programs(world: World) -> None:
    nginx = world.pod("web", "nginx")
    postgres = world.pod("db", "postgres:16", env=[{"name": "POSTGRES_PASSWORD", "value": "x"}])
    assert (await sh(nginx, "command -v curl; command -v ps; command -v wget")).out == "/usr/bin/curl\n"
    assert (await sh(postgres, "curl http://web")).code == 127
    with pytest.raises(FileNotFoundError):
        await run(world.pod("bin", "mccutchen/go-httpbin:v2.15.0"), "sh")


async def test_a_user_may_not_do_what_root_may(world: World) -> None:
    user = world.pod("user", command=["sleep", "1000"], securityContext={"runAsUser": 1000})
    outcome = await sh(user, "id -u; echo x > /etc/new; touch /tmp/mine && echo fine; cat /etc/shadow; kill 1")
    assert outcome.out == "1000\nfine\n"
    assert "can't create /etc/new: Permission denied" in outcome.err
    assert "can't open '/etc/shadow': Permission denied" in outcome.err


async def test_a_read_only_root_stays_as_it_is(world: World) -> None:
    box = world.pod(
        "ro", command=["sleep", "9"], securityContext={"readOnlyRootFilesystem": True},
        volumeMounts=[{"name": "t", "mountPath": "/tmp"}], spec={"volumes": [{"name": "t", "emptyDir": {}}]},
    )  # fmt: skip
    outcome = await sh(box, "touch /a; touch /tmp/b && echo fine")
    assert (outcome.out, outcome.err) == ("fine\n", "touch: /a: Read-only file system\n")


async def test_psql_asks_postgres(world: World) -> None:
    database = world.pod("db", "postgres:16", env=[{"name": "POSTGRES_PASSWORD", "value": "pw"}])
    world.service("db", 5432, 5432, "db")
    client = world.pod("client", "postgres:16", command=["sleep", "9"])
    outcome = await sh(database, "psql -U postgres -tAc 'select 1+1'")
    assert outcome.out == "2\n"
    table = "create table t (id serial, name text); insert into t (name) values ('a'), ('b'); "
    table += "select * from t order by id desc"
    outcome = await sh(client, f'PGPASSWORD=pw psql -h db -U postgres -c "{table}"')
    assert outcome.out == "CREATE TABLE\nINSERT 0 2\n id | name \n----+------\n  2 | b\n  1 | a\n(2 rows)\n\n"
    outcome = await sh(client, "PGPASSWORD=no psql -h db -U postgres -c 'select 1'")
    assert (outcome.code, 'password authentication failed for user "postgres"' in outcome.err) == (2, True)


WORDS = {
    "date": ("date foo", "date: invalid date 'foo'\n", 1),
    "missing operand": ("rm", "BusyBox v1.37.0 (2024-09-26 21:31:42 UTC) multi-call binary.\n\n"
                        "Usage: rm [-irf] FILE...\n",
                        1),
    "option": ("sort -Q 2>&1 | head -n 1 >&2", "sort: invalid option -- 'Q'\n", 0),
    "copy into nowhere": ("touch /tmp/a; cp /tmp/a /none/", "cp: can't create '/none/': Is a directory\n", 1),
    "tar of nothing": ("tar cf /tmp/t.tar /none", "tar: /none: No such file or directory\n"
                       "tar: error exit delayed from previous errors\n", 1),
    "head of nothing": ("head /none", "head: /none: No such file or directory\n", 1),
    "tail of nothing": ("tail /none", "tail: can't open '/none': No such file or directory\n", 1),
    "unknown applet": ("busybox nosuch", "nosuch: applet not found\n", 127),
    "unknown user": ("id nosuch", "id: unknown user nosuch\n", 1),
    "no terminal": ("stty -a", "stty: standard input: Inappropriate ioctl for device\n", 1),
    "timeout": ("timeout 1 nosuch", "timeout: can't execute 'nosuch': No such file or directory\n", 127),
    "diff": ("diff /none /etc/passwd", "diff: can't stat '/none': No such file or directory\n", 2),
}  # fmt: skip


@pytest.mark.parametrize("name", WORDS)
async def test_how_busybox_says_it(box: ContainerMachine, name: str) -> None:
    text, said, code = WORDS[name]
    outcome = await sh(box, text)
    assert (outcome.err, outcome.code) == (said, code)


async def test_small_tools(box: ContainerMachine) -> None:
    text = "busybox echo via; factor 12; shuf -i 7-7; printf '\\tx\\n' | expand; printf 'a\\r\\n' | dos2unix | wc -c; "
    text += "printf 'a\\tb\\r\\n' | cat -A; printf 'AB\\n' | od -An -tx1; echo abc | hexdump -C; cat /proc/self/comm; "
    text += "timeout -s KILL 0.05 sleep 5; echo $?"
    assert (await sh(box, text)).out == (
        "via\n12: 2 2 3\n7\n        x\n2\na^Ib^M$\n 41 42 0a\n"
        "00000000  61 62 63 0a                                       |abc.|\n00000004\ncat\n137\n"
    )


async def test_diff_as_gnu_shows_it(world: World) -> None:
    debian = world.pod("debian", "debian", command=["sleep", "9"])
    text = "printf 'a\\nb\\nc\\n' > /tmp/1; printf 'a\\nx\\nc\\nd\\n' > /tmp/2; diff /tmp/1 /tmp/2"
    assert (await sh(debian, text)).out == "2c2\n< b\n---\n> x\n3a4\n> d\n"


async def test_what_a_pod_declares_is_known_to_its_command_and_the_image_is_not(world: World) -> None:
    pod = world.pod(
        "declares", command=["sh", "-c", "echo $(A) $(HOSTNAME) $$(A) $(B); sleep 9"],
        env=[{"name": "A", "value": "one"}, {"name": "B", "value": "$(A)-$(PATH)"}],
        volumeMounts=[{"name": "v", "mountPath": "/v", "subPathExpr": "$(A)"}],
        spec={"volumes": [{"name": "v", "emptyDir": {}}]},
    )  # fmt: skip
    outcome = await sh(pod, "env | grep -n -e ^PATH -e ^HOSTNAME -e ^A= -e ^B=; tr '\\0' ' ' < /proc/1/cmdline")
    assert outcome.out.endswith("sh -c echo one $(HOSTNAME) $(A) one-$(PATH); sleep 9 ")
    assert [line.split("=")[0] for line in outcome.out.splitlines()[:4]] == ["1:PATH", "2:HOSTNAME", "3:A", "4:B"]


async def test_psql_adds_up_and_lists(world: World) -> None:
    database = world.pod("db", "postgres:16", env=[{"name": "POSTGRES_PASSWORD", "value": "pw"}])
    text = "psql -U postgres -tAc 'create table t (a int); insert into t values (1), (2), (4); "
    text += "select count(*), sum(a), min(a), max(a) as most from t'; psql -U postgres -c '\\dt'"
    outcome = await sh(database, text)
    assert outcome.out == (
        "CREATE TABLE\nINSERT 0 3\n3|7|1|4\n        List of relations\n Schema | Name | Type  |  Owner   \n"
        "--------+------+-------+----------\n public | t    | table | postgres\n(1 row)\n\n"
    )


async def test_openssl_digests_and_encodes(world: World) -> None:
    web = world.pod("web", "nginx", command=["sleep", "9"])
    text = "printf a > /tmp/a; openssl dgst -sha256 /tmp/a; printf a | openssl sha1; openssl md5 -r /tmp/a; "
    text += "printf hello | openssl base64; echo aGVsbG8= | openssl enc -base64 -d; openssl dgst /none"
    outcome = await sh(web, text)
    assert outcome.out == (
        "SHA2-256(/tmp/a)= ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\n"
        "SHA1(stdin)= 86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\n0cc175b9c0f1b6a831c399e269772661 */tmp/a\n"
        "aGVsbG8=\nhello"
    )
    assert outcome.code == 1 and "No such file or directory" in outcome.err
