"""Commands that stand on PATH in place of those of the machine."""

from pathlib import Path


def add_command(folder: Path, name: str, content: str = "#!/bin/sh\n") -> Path:
    """Write an executable file into the subfolder `bin`, and return it."""
    command = folder / "bin" / name
    command.parent.mkdir(exist_ok=True)
    command.write_text(content)
    command.chmod(0o755)
    return command
