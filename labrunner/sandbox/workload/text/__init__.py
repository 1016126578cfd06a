"""Text tools' engines: POSIX regular expressions, sed, awk, printf formats. Know nothing of processes."""
