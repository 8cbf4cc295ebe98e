"""The package itself: generated code is current, types hold, documentation says what there is."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import glauber

PYTHON = Path(__file__).resolve().parents[1]
PROTO = PYTHON.parent / "proto"


def without_json_names(messages) -> None:
    """Take out what protoc adds to a descriptor set alone."""
    for message in messages:
        for field in message.field:
            field.ClearField("json_name")
        without_json_names(message.nested_type)


def test_generated_code_is_current(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools is not installed")
    pool = pytest.importorskip("google.protobuf.descriptor_pb2")
    files = sorted((PROTO / "glauber" / "v1").glob("*.proto"))
    compiled = tmp_path / "descriptors.bin"
    names = [str(file.relative_to(PROTO)) for file in files]
    assert protoc.main(["protoc", f"-I{PROTO}", f"--descriptor_set_out={compiled}", *names]) == 0
    descriptors = pool.FileDescriptorSet.FromString(compiled.read_bytes())
    assert len(descriptors.file) == len(files)
    for expected in descriptors.file:
        name = Path(expected.name).stem
        module = __import__(f"glauber._proto.{name}_pb2", fromlist=["DESCRIPTOR"])
        found = pool.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        without_json_names(expected.message_type)
        assert found == expected, f"{name}_pb2.py is not that of {expected.name}: run python3 python/generate.py"
        for service in expected.service:
            stubs = (PYTHON / "src" / "glauber" / "_proto" / f"{name}_pb2_grpc.py").read_text()
            paths = set(re.findall(rf"'/glauber\.v1\.{service.name}/(\w+)'", stubs))
            assert paths == {method.name for method in service.method}, "run python3 python/generate.py"


def test_types_hold() -> None:
    pytest.importorskip("mypy")
    checked = subprocess.run([sys.executable, "-m", "mypy", "--strict"], cwd=PYTHON, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_everything_public_is_documented_and_listed() -> None:
    for name in glauber.__all__:
        documented = getattr(glauber, name)
        assert documented.__doc__, name
        for member, value in vars(documented).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{name}.{member}"
    imported = ast.parse((PYTHON / "src" / "glauber" / "__init__.py").read_text())
    names = {alias.name for node in imported.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == set(glauber.__all__)


def test_what_pip_installs_works_and_has_its_licences(tmp_path: Path) -> None:
    # Without a build of its own environment, for which pip would go to the network.
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    pytest.importorskip("pip", reason="pip is not installed")
    environment = tmp_path / "environment"
    venv.create(environment, system_site_packages=True)
    interpreter = environment / "bin" / "python"
    # After its own packages it sees those of the environment that runs this, and not the source tree.
    own = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (own / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    seen = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    install = ["-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed", str(PYTHON)]
    installed = subprocess.run([interpreter, *install], env=seen, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    script = (
        "import importlib.metadata, pathlib, glauber, glauber.bridge.brand\n"
        "found = importlib.metadata.distribution('glauber')\n"
        "print(pathlib.Path(glauber.__file__).parent, found.version)\n"
        "for one in found.files: print(one)\n"
    )
    told = subprocess.run([interpreter, "-c", script], env=seen, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    first, *files = told.stdout.splitlines()
    assert first.startswith(str(environment)) and first.endswith(glauber.__version__)
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        assert any(file.endswith(name) for file in files), files
        assert (PYTHON / name).read_bytes() == (PYTHON.parent / name).read_bytes()
    assert "glauber/py.typed" in files


def test_version_is_that_of_the_program() -> None:
    cargo = (PYTHON.parent / "Cargo.toml").read_text()
    project = (PYTHON / "pyproject.toml").read_text()
    versions = [re.search(r'^version = "(.*)"$', text, re.MULTILINE) for text in (cargo, project)]
    assert all(versions) and {match.group(1) for match in versions if match} == {glauber.__version__}
