"""Makes a component of a source: ``sandbar-sdk build module:Class -o name.wasm``."""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

#: componentize-py looks for the interface in the module that it is given, and for its resources in one of the interface's name.
_ENTRY = """from sandbar_sdk.component import exports
from {module} import {name} as source

Connector, Source, Batches = exports(source)
"""
_RESOURCES = "from sandbar_entry import Batches, Source\n"


def build(source: str, output: pathlib.Path, folder: pathlib.Path) -> None:
    """Builds ``module:Class``, found in ``folder``, with everything that it imports. Needs componentize-py."""
    module, separator, name = source.partition(":")
    if not separator:
        raise SystemExit(f"write the source as module:Class, not {source!r}")
    tool = shutil.which("componentize-py", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("componentize-py")
    if tool is None:
        raise SystemExit("componentize-py is not installed: pip install 'sandbar-sdk[build]'")
    package = pathlib.Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as scratch:
        entry = pathlib.Path(scratch)
        (entry / "sandbar_entry.py").write_text(_ENTRY.format(module=module, name=name))
        (entry / "connector.py").write_text(_RESOURCES)
        paths = [entry, folder.resolve(), package.parent]
        arguments = [tool, "--wit-path", str(package / "wit"), "--world", "source", "componentize"]
        # Without WASI, which the interpreter imports and never calls.
        arguments += ["--stub-wasi", "--output", str(output.resolve())]
        for path in paths:
            arguments += ["--python-path", str(path)]
        finished = subprocess.run([*arguments, "sandbar_entry"])
    if finished.returncode != 0:
        raise SystemExit(finished.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sandbar-sdk", description="Makes components of Sandbar sources.")
    commands = parser.add_subparsers(dest="command", required=True)
    builds = commands.add_parser("build", help="make a component")
    builds.add_argument("source", help="module:Class")
    builds.add_argument("-o", "--output", type=pathlib.Path, required=True, help="the component's file")
    builds.add_argument("-p", "--path", type=pathlib.Path, default=pathlib.Path("."), help="the module's folder")
    arguments = parser.parse_args()
    build(arguments.source, arguments.output, arguments.path)


if __name__ == "__main__":
    main()
