"""Options and commands of other tools: what to write instead is said, and is right."""

import shlex

import click
import pytest

from cnncli.cli import COMMANDS, foreign, main
from cnncli.spec.spec import load
from tests.cli.test_commands import MNIST, cnncli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "a.yaml", "--lr", "0.02"], "'--lr'; write --set compile.optimizer.learning_rate=0.02"),
        (["train", "a.yaml", "--learning_rate=0.02"], "write --set compile.optimizer.learning_rate=0.02"),
        (["train", "a.yaml", "-lr", "0.02"], "'-lr'; write --set compile.optimizer.learning_rate=0.02"),
        (["train", "a.yaml", "--learning-rate"], "write --set compile.optimizer.learning_rate=0.01"),
        (["train", "a.yaml", "--optimizer", "--quiet"], "write --set compile.optimizer=adam"),
        (["train", "a.yaml", "--device", "cuda"], "cnncli computes on the CPU; --threads sets the number of threads"),
        (["train", "a.yaml", "--workers", "4"], "write --threads 4"),
        (["train", "a.yaml", "--verbose"], "progress is shown by default; --quiet shows the closing lines only"),
        (["train", "a.yaml", "--name", "my run"], "write --set 'name=my run'"),
        (["predict", "m", "--source", "a.png"], "images are arguments: cnncli predict MODEL a.png"),
        (["datasets", "info", "mnist5k", "--lr", "1"], "has no option '--lr': see cnncli datasets info --help"),
        (["fit", "my spec.yaml", "--epochs", "3"], "write `cnncli train 'my spec.yaml' --epochs 3`"),
        (["test"], "write `cnncli evaluate MODEL`"),
        (["val"], "write `cnncli evaluate MODEL`"),
        (["infer"], "write `cnncli predict MODEL IMAGE`"),
    ],
)
def test_another_tools_word_is_answered_with_what_to_write(arguments, said):
    done = cnncli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


SETS = {
    name: instead.text.removeprefix("--set ").format(instead.example)
    for name, instead in foreign.OPTIONS.items()
    if instead.text.startswith("--set ") and name not in ("data", "dataset", "data-dir", "test-split")
}


@pytest.mark.parametrize("override", sorted(set(SETS.values()) - {"data.image_size=[64,64]"}))
def test_what_is_to_be_set_is_what_a_spec_has(override):
    spec = load(MNIST, [override, *(["compile.optimizer=sgd"] if "momentum" in override else [])][::-1])
    assert spec


def test_what_is_to_be_written_is_an_option_or_a_command_that_there_is():
    train = {option for parameter in main.get_command(None, "train").params for option in parameter.opts}
    predict = {option for parameter in main.get_command(None, "predict").params for option in parameter.opts}
    begins = {text.text.split()[0] for text in foreign.OPTIONS.values() if text.text.startswith("-")}
    assert begins <= train | predict
    for line in foreign.COMMANDS.values():
        name, *rest = shlex.split(line)
        command = main.get_command(None, name)
        if isinstance(command, click.Group):
            command = command.get_command(None, rest.pop(0) if rest else command.default)
        command.make_context(name, rest)
    assert not set(foreign.COMMANDS) & set(COMMANDS)
