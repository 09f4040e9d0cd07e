"""Ten networks with every callback on resume to the same bits, from random batches: only with `--long`.

`python -m tests.properties.test_networks_resume` tells the digests.
"""

from pathlib import Path

import pytest

from cnncli.api.specs import open_spec
from cnncli.api.training import Surroundings
from cnncli.api.verification import verify_resume
from cnncli.training.callbacks.vocabulary import CALLBACKS
from tests.training.test_callback_contract import ACTIVE

CONFIGS = Path(__file__).parents[2] / "configs"
NETWORKS = (
    *("smoke", "mnist", "lenet5", "residual", "resnet20", "mobilenet_small", "unet", "vgg_small_bn"),
    *("densenet_small", "shufflenet_small"),
)
TIMES = 3
FIT = {"epochs": 4, "steps_per_epoch": 3, "validation_steps": 1, "batch_size": 16}


def proof(name):
    """Of a network with all callbacks in a form that acts."""
    callbacks = [{callback: ACTIVE.get(callback, {})} for callback in CALLBACKS.classes]  # loggers need no arguments
    path = CONFIGS / f"{name}.yaml"
    optimizer = f"compile.optimizer.{type(open_spec(path).compile.optimizer).__name__}"
    wanted = {f"{optimizer}.learning_rate": 0.001, f"{optimizer}.use_ema": True}  # what callbacks ask for: no schedule
    spec = open_spec(path, {"fit": {**FIT, "callbacks": callbacks}, **wanted})
    return verify_resume(spec, Surroundings(on_event=lambda event: None), TIMES)


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_with_every_callback_resumes_to_the_same_bits(name, pytestconfig):
    if not pytestconfig.getoption("--long"):
        pytest.skip("training each four times takes minutes: --long")
    found = proof(name)
    assert found.holds, [(trial.place, trial.differs) for trial in found.trials if trial.differs]


if __name__ == "__main__":
    for network in NETWORKS:
        made = proof(network)
        places = ", ".join(str(trial.place.batches) for trial in made.trials)
        print(
            f"{network:17} {made.digest[:15]}… {made.batches} batches, interrupted after {places}: {made.holds}",
            flush=True,
        )
