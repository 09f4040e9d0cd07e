"""What is wrong with a command line, or with the system, comes in one line of our form."""

import errno

import click
import pytest

from cnncli.cli import exit_code_of, failures, usage
from tests.cli.test_commands import cnncli


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["mine.yaml"], "a command must come before 'mine.yaml': `cnncli train mine.yaml` trains it"),
        (["m.safetensors"], "a command must come before 'm.safetensors': `cnncli evaluate m.safetensors` measures it"),
        (["check", "a.yaml", "--folds", "3"], "cnncli check has no option '--folds'; it belongs to train"),
        (["--epochs", "3", "train"], "cnncli has no option '--epochs'; it belongs to train"),
        (["train", "--draws", "3"], "cnncli train has no option '--draws'; it belongs to plot, datasets preview"),
        (["train", "--epoch", "3"], "cnncli train has no option '--epoch'; did you mean '--epochs'?"),
        (["check", "a.yaml", "-x"], "cnncli check has no option '-x': see cnncli check --help"),
        (["train", "--epochs"], "--epochs needs a value after it"),
        (["train", "--quiet=yes"], "--quiet is a switch: it takes no value"),
        (["train", "--epochs", "ten"], "--epochs must be an integer ≥ 0; received 'ten'"),
        (["train", "--epochs", "-1"], "--epochs must be an integer ≥ 0; received '-1'"),
        (["datasets", "preview", "a", "--draws", "99"], "--draws must be an integer from 1 to 64; received '99'"),
        *(
            (
                [command, "--dtype", name],
                f"--dtype must be one of float32, bf16; received '{name}'; did you mean 'bf16'?",
            )
            for command in ("train", "evaluate", "predict", "benchmark")
            for name in ("bfloat16", "mixed_bfloat16")
        ),
        (["train", "a", "b"], "cnncli train takes no further argument; received 'b': see cnncli train --help"),
        (["check"], "cnncli check needs SPEC: see cnncli check --help"),
        (["datasets", "lst"], "there is no command 'lst' under cnncli datasets; did you mean 'list'?"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exits_with_2(arguments, line):
    done = cnncli(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")


def test_a_variable_with_a_wrong_value_is_named():
    done = cnncli("datasets", "download", "mnist", CNNCLI_OFFLINE="maybe")
    rule = "--offline (CNNCLI_OFFLINE) must be yes or no, written as 1 or 0; received 'maybe'"
    assert (done.returncode, done.stderr) == (2, f"error: {rule}\n")


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        (click.Choice(["small", "vgg"]), "smal", "one of small, vgg; received 'smal'; did you mean 'small'?"),
        (click.FloatRange(max=1), "2.0", "a number ≤ 1; received '2.0'"),
        (click.INT, "x", "an integer; received 'x'"),
    ],
)
def test_every_type_of_option_states_its_rule(kind, value, rule):
    with pytest.raises(click.UsageError) as caught:
        click.Command("c", params=[click.Option(["--x"], type=kind)]).make_context("c", ["--x", value])
    assert usage.usage_message(caught.value) == f"--x must be {rule}"


def test_a_path_without_permission_is_told_as_the_system_tells_it():
    option = click.Option(["--output"], type=click.Path())
    error = click.BadParameter("Path 'locked' is not readable.", param=option)
    assert usage.usage_message(error) == "--output: 'locked' can't be read: Permission denied"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "there is not enough memory: Unable to allocate 9 GiB; smaller "),
        (
            ModuleNotFoundError("…", name="yaml.nodes"),
            "the package yaml, which cnncli needs, is missing: pip install PyYAML",
        ),
        (PermissionError(13, "Permission denied", "x.npz"), "'x.npz' can't be used: Permission denied"),
        (ModuleNotFoundError("…", name="cnncli.nothing"), ""),
        (ZeroDivisionError(), ""),
    ],
)
def test_what_others_raise_is_told_unless_it_is_our_bug(error, line):
    assert failures.system_error_message(error).startswith(line)
    assert bool(failures.system_error_message(error)) == bool(line)


def test_a_full_disk_behind_standard_output_is_told(capsys):
    def write() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert exit_code_of(write) == 1
    assert capsys.readouterr().err == "error: the output can't be written: No space left on device\n"
