"""The command table: what `--help` shows and what the Tab key completes, without importing what is heavy."""

import subprocess
import sys

import pytest

from cnncli.cli import COMMANDS, GROUPS
from tests.cli.test_commands import ENVIRONMENT, cnncli

HEAVY = ("numpy", "numba", "llvmlite")


def completed(*words: str) -> list[str]:
    """What bash is told for the last of the words; fails where a heavy module was imported for it."""
    code = (
        "import sys\nfrom cnncli.cli import main\n"
        "try:\n    main(prog_name='cnncli')\n"
        f"finally:\n    print('LOADED', sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    environment = {**ENVIRONMENT, "COMP_WORDS": " ".join(["cnncli", *words]), "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "_CNNCLI_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, loaded = done.stdout.splitlines()
    assert loaded == "LOADED []"
    return [line.removeprefix("plain,") for line in lines]


def test_every_command_is_in_one_group():
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(COMMANDS)
    assert len(GROUPS) == 5


def test_help_shows_the_groups_with_aligned_summaries():
    lines = cnncli("--help").stdout.splitlines()
    for group, names in GROUPS.items():
        place = lines.index(f"{group}:")
        shown = lines[place + 1 : place + 1 + len(names)]
        assert [line.split()[0] for line in shown] == list(names)
    longest = max(map(len, COMMANDS))
    rows = [line for line in lines if line.strip().split(" ")[0] in COMMANDS and line.startswith("  ")]
    assert all(line[: 2 + longest + 2].endswith("  ") and line[4 + longest] != " " for line in rows)


def test_click_prints_the_script_for_a_shell():
    for shell in ("bash", "zsh", "fish"):
        done = cnncli(_CNNCLI_COMPLETE=f"{shell}_source")
        assert done.returncode == 0
        assert "_CNNCLI_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["init", "vgg"], ["vgg_small", "vgg_small_bn"]),
        (["che"], ["check"]),
        (["layers", "Conv"], ["Conv2D", "Conv2DTranspose"]),
        (["layers", "random"], None),
        (["datasets", "pre"], ["preview"]),
        (["runs", "sh"], ["show"]),
        (["runs", "--wh"], ["--where"]),
        (["runs", "--limit", "2", "--js"], ["--json"]),
        (["runs", "show", "configs/mn"], ["dir,configs/mn"]),
        (["train", "--res"], ["--resume"]),
        (["train", "configs/mn"], ["file,configs/mn"]),
        (["check", "configs/mn"], ["file,configs/mn"]),
        (["summary", "configs/mn"], ["file,configs/mn"]),
    ],
)
def test_names_options_and_files_are_completed(words, wanted):
    found = completed(*words)
    assert found == wanted if wanted is not None else {"RandomFlip", "RandomZoom", "RandomUniform"} <= set(found)


def test_without_a_beginning_all_commands_are_offered():
    assert completed("") == [name for names in GROUPS.values() for name in names]
