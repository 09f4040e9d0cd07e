"""In a notebook: cells run in Jupyter's kernel, and interrupting one ends the training as Ctrl-C does."""

import pytest
from jupyter_client.manager import start_new_kernel

from tests.cli.test_train import SPEC, child_environment
from tests.training import small

PATIENCE = 60


@pytest.fixture
def kernel(tmp_path):
    """Runs cells in a folder with a spec and its data."""
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path), env=child_environment())
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, code, at=None, then=None):
    """What a cell prints; `then` is called once it has printed `at`. The error that it ends with, if any."""
    printed, error = "", ""

    def read(message):
        nonlocal printed, error
        content = message["content"]
        if message["msg_type"] == "stream":
            printed += content["text"]
            if at and then and at in content["text"]:
                then()
        elif message["msg_type"] == "error":
            error = f"{content['ename']}: {content['evalue']}"

    client.execute_interactive(code, output_hook=read, timeout=PATIENCE)
    return printed, error


def test_a_cell_trains_shows_and_predicts(kernel):
    _, client = kernel
    printed, error = run(client, "import cnncli\nrun = cnncli.train('bars.yaml')\nprint(run.epoch, len(run.history))")
    assert (printed.split()[-1], error) == ("2", "")
    printed, error = run(
        client, "model = cnncli.load(run)\nprint(len(model.predict('bars.npz' and [run.path] and 'x.npy')))"
    )
    assert error.startswith("UsageError: there is no file or folder 'x.npy'")
    printed, error = run(client, "print(model.evaluate().figures['accuracy'] <= 1, model.summary().parameters)")
    assert (printed.split()[0], error) == ("True", "")


def test_interrupting_a_cell_saves_the_run_and_leaves_the_kernel_alive(kernel):
    manager, client = kernel
    long = """
import cnncli
def show(event):
    if isinstance(event, cnncli.events.EpochDone):
        print("epoch", event.figures["epoch"], flush=True)
cnncli.train("bars.yaml", {"fit.epochs": 100000}, output="run", on_event=show)
"""
    _, error = run(client, long, at="epoch 2", then=manager.interrupt_kernel)
    assert error.startswith("InterruptedRun: interrupted ")
    assert error.endswith("everything is saved. To resume: cnncli train --resume run")
    printed, error = run(client, "print(len(cnncli.load('run', 'last').weights()))")
    assert (printed, error) == ("4\n", "")
    # One long sleep would not end where the signal comes just before it: Python looks for signals between two steps.
    naps = "import time\nprint('asleep', flush=True)\nwhile True:\n    time.sleep(0.01)"
    _, error = run(client, naps, "asleep", manager.interrupt_kernel)
    assert error.startswith("KeyboardInterrupt")
