"""Compiled code is kept as long as no source changes that it is made from: those of its room and of the rooms below."""

import importlib.util
import json
import os
import pickle
import pkgutil
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import grimp
import pytest
from numba.core.dispatcher import Dispatcher
from numba.extending import _Intrinsic

from cnncli import kernels
from cnncli.cli.commands import warmup
from cnncli.kernels.jit import cache, driver
from cnncli.kernels.jit.runtime import REALS, Function
from cnncli.spec.spec import parse
from tests.cli.test_warmup import EVERY_KIND

KERNELS = Path(kernels.__file__).parent
ROOMS = sorted(file.parent.name for file in KERNELS.glob("*/__init__.py"))


def room_of(module):
    parts = module.split(".")
    return parts[2] if parts[:2] == ["cnncli", "kernels"] and len(parts) > 2 else None


@pytest.fixture(scope="module")
def below():
    """Room → it and those that it imports, directly or not, as the reader of the import contracts finds them."""
    graph = grimp.build_graph("cnncli", cache_dir=None)
    for room in ROOMS:
        graph.squash_module(f"cnncli.kernels.{room}")
    upstream = {room: graph.find_upstream_modules(f"cnncli.kernels.{room}") for room in ROOMS}
    return {room: {room} | {room_of(module) for module in found} - {None} for room, found in upstream.items()}


def test_an_edit_of_any_source_moves_its_own_room_and_those_above(tmp_path, monkeypatch, below):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))
    copy = tmp_path / "kernels"
    shutil.copytree(KERNELS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    loader = importlib.util.spec_from_file_location("cache_copy", copy / "jit/cache.py")
    copied = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(copied)
    names = copied.rooms()
    assert names == cache.rooms()
    for module in sorted(copy.glob("*/**/*.py")):
        module.write_text(module.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
        copied.rooms.cache_clear()
        before, names = names, copied.rooms()
        room = module.relative_to(copy).parts[0]
        above = {other for other in ROOMS if room in below[other]}
        assert {name for name in names if names[name] != before[name]} == above | {cache.ELSEWHERE}, module


@pytest.mark.long
def test_all_that_a_function_is_compiled_from_is_in_its_room_or_below(below):
    """Also what was handed to code generation from above: formulas, tables of functions, other compiled functions."""
    warmup._run(parse(EVERY_KIND, "kinds.yaml", check_data=False))
    for module in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}."):
        import_module(module.name)
    made = {
        (name, key): function.factory(REALS[key[0]], *key[1:])
        for name, module in list(sys.modules.items())
        if room_of(name)
        for function in vars(module).values()
        if isinstance(function, Function)
        for key in function.compiled
    }
    assert {"conv", "elementwise", "gemm", "optimizers"} <= {room_of(name) for name, _ in made}
    made["cnncli.kernels.jit.driver", ()] = driver._run
    vector = 0
    for (name, key), function in made.items():
        rooms = {room_of(module) for module in modules_of(function, {})} - {None}
        assert rooms <= below[room_of(name)], (name, key)
        vector += "vector" in rooms
    assert vector > 5  # the search gets as far as formulas


def modules_of(thing, seen):
    """The modules of all functions that a function reaches through its globals, its closure, and what lies in them."""
    if id(thing) in seen:
        return set()
    seen[id(thing)] = thing
    module, held = None, ()
    match thing:
        case FunctionType():
            module = thing.__module__
            used = [thing.__globals__.get(name) for name in names_in(thing.__code__)]
            held = [*used, *(cell.cell_contents for cell in thing.__closure__ or ())]
        case Dispatcher():
            held = [thing.py_func]
        case _Intrinsic():
            held = [thing._defn]
        case ModuleType() if room_of(thing.__name__):
            module = thing.__name__
        case type() if room_of(thing.__module__):
            module, held = thing.__module__, vars(thing).values()
        case dict():
            held = thing.values()
        case tuple() | list():
            held = thing
    return {module or ""}.union(*(modules_of(each, seen) for each in held))


def names_in(code):
    """The names that a function uses, and the functions in it."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*map(names_in, inner))


READY = """
import json
from cnncli.kernels.augment import brightness
from cnncli.kernels.conv import conv2d
from cnncli.kernels.jit import compilations
brightness.invert_worker.address("float32")
conv2d.correlate_worker.address("float32")
print(json.dumps({compilation.name: compilation.cached for compilation in compilations.done}))
"""


@pytest.mark.long
def test_an_edited_augmentation_leaves_the_kept_convolution_in_use(tmp_path):
    shutil.copytree(KERNELS.parent, tmp_path / "cnncli", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CNNCLI_CACHE_DIR": str(tmp_path / "cache")}

    def found():
        command = [sys.executable, "-c", READY]
        done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def edit(path):
        with (tmp_path / "cnncli/kernels" / path).open("a") as file:
            file.write("\n# edited\n")

    kept = {"driver.run": True, "brightness.invert": True, "conv2d.correlate": True}
    assert found() == dict.fromkeys(kept, False)
    edit("augment/affine.py")
    assert found() == {**kept, "brightness.invert": False}
    edit("gemm/rearrange.py")
    assert found() == {**kept, "conv2d.correlate": False}
    edit("jit/intrinsics.py")
    assert found() == dict.fromkeys(kept, False)


VARIANTS = """
from cnncli.kernels.elementwise import activations
for dtype in ("float32", "float64"):
    for kind in ("relu", "elu"):
        activations.forward_worker.address(dtype, kind)
"""


def test_no_two_functions_share_an_index_so_that_processes_can_not_mix_them_up(tmp_path):
    """Numba reads an index, adds its line and writes it: of two processes at one time the second undoes the first."""
    environment = {**os.environ, "CNNCLI_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", VARIANTS], env=environment, check=True)
    indices = list(tmp_path.rglob("*.nbi"))
    assert len(indices) == 5  # with the driver
    for index in indices:
        with index.open("rb") as file:
            pickle.load(file)  # the version
            _, overloads = pickle.load(file)
        assert len(overloads) == 1
