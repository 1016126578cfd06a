"""Entry point scripts of images: they end in the command they are given."""

from __future__ import annotations

from labrunner.sandbox.workload.machine.process import Exited, Process


async def docker(process: Process) -> int:
    """`docker-entrypoint.sh COMMAND...`: an option alone goes to the image's own program."""
    words = process.argv[1:]
    own = next((name for name in ("redis-server", "postgres", "mysqld", "node", "nginx", "mongod", "bash")
                if _has(process, name)), "sh")  # fmt: skip
    if not words or words[0].startswith("-"):
        words = [own, *words]
    if words[0] == "nginx":
        await process.write(
            "/docker-entrypoint.sh: /docker-entrypoint.d/ is not empty, will attempt to perform configuration\n"
            "/docker-entrypoint.sh: Looking for shell scripts in /docker-entrypoint.d/\n"
            "/docker-entrypoint.sh: Launching /docker-entrypoint.d/10-listen-on-ipv6-by-default.sh\n"
            "10-listen-on-ipv6-by-default.sh: info: Getting the checksum of /etc/nginx/conf.d/default.conf\n"
            "10-listen-on-ipv6-by-default.sh: info: Enabled listen on IPv6 in /etc/nginx/conf.d/default.conf\n"
            "/docker-entrypoint.sh: Sourcing /docker-entrypoint.d/15-local-resolvers.envsh\n"
            "/docker-entrypoint.sh: Launching /docker-entrypoint.d/20-envsubst-on-templates.sh\n"
            "/docker-entrypoint.sh: Launching /docker-entrypoint.d/30-tune-worker-processes.sh\n"
            "/docker-entrypoint.sh: Configuration complete; ready for start up\n"
        )
    return await become(process, words)


async def main(process: Process) -> int:
    """curl's images: options and URLs go to curl, everything else is a command."""
    words = process.argv[1:]
    if words and not words[0].startswith("-") and _has(process, words[0]):
        return await become(process, words)
    return await become(process, ["curl", *words] if _has(process, "curl") else words or ["sh"])


def _has(process: Process, name: str) -> bool:
    try:
        process.container.which(name, process.env.get("PATH", ""), process.cwd, process.owner)
    except OSError:
        return False
    return True


async def become(process: Process, words: list[str]) -> int:
    """As `exec` does: the program runs in this very process."""
    try:
        program, argv = process.container.resolve(words, process.env.get("PATH", ""), process.cwd, process.owner)
    except OSError as error:
        await process.error(f"{process.argv[0]}: exec: {words[0]}: {error.strerror}\n")
        raise Exited(127 if isinstance(error, FileNotFoundError) else 126) from error
    process.argv = argv
    return await program(process)
