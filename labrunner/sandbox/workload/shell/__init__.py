"""The shell of pretended containers: a POSIX shell with the usual bash additions, as an asyncio program."""
