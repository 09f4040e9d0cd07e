"""Groups of processes without MPI: dividing rows, adding in a fixed order, and a group of threads in one process."""

import threading
import time

import numpy as np
import pytest

from cnncli.api.training import differing
from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.datasets.section import AUGMENTATIONS
from cnncli.errors import CnncliError, UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.loss_sum import OneOrSeveral
from cnncli.layers.vocabulary import LAYERS
from cnncli.training.distributed.batch import BatchTrainer, Parts
from cnncli.training.distributed.group import ALONE, Group, OfFirst, TreeSum, add_pairs, shares
from cnncli.training.distributed.launch import launched, rank_told, works_alone
from cnncli.training.metrics.evaluation import Sums


class Threads(Group):
    """A group of threads, which exchange things through a list."""

    def __init__(self, rank, size, barrier, board):
        self.rank, self.size, self.barrier, self.board = rank, size, barrier, board

    def gather(self, thing):
        self.board[self.rank] = thing
        self.barrier.wait(30)
        found = list(self.board)
        self.barrier.wait(30)
        return found

    def gather_numbers(self, numbers):
        return np.stack(self.gather(numbers.copy()))

    def begin_tree(self, data, number):
        data[:] = add_pairs([rows.copy() for rows in self.gather(data.copy())])
        return TreeSum(data)


def in_threads(size, work, kind=Threads):
    """The results of `work(group)` in each of so many threads."""
    barrier, board, results = threading.Barrier(size), [None] * size, [None] * size

    def one(rank):
        results[rank] = work(kind(rank, size, barrier, board))

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 16, 31, 128, 1001])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 8])
def test_rows_are_divided_without_gaps_evenly_and_at_multiples_of_4(count, parts):
    found = shares(count, parts)
    assert [row for part in found for row in range(part.start, part.stop)] == list(range(count))
    assert all(part.start % 4 == 0 or part.start == count for part in found)
    sizes = [part.stop - part.start for part in found]
    assert max(sizes) - min(sizes) <= 7


def test_a_whole_subtree_may_be_added_in_another_place():
    rows = np.random.default_rng(0).normal(0, 1, (8, 1000)).astype(np.float32)
    whole = add_pairs(list(rows.copy()))
    for size in (2, 4):
        parts = [add_pairs(list(part)) for part in np.split(rows.copy(), size)]
        assert add_pairs(parts).tobytes() == whole.tobytes()
    np.testing.assert_allclose(whole, rows.astype(np.float64).sum(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("environment", "size", "rank"),
    [
        ({}, 1, 0),
        ({"PMI_SIZE": "4", "PMI_RANK": "3"}, 4, 3),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, 2, 1),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5"}, 8, 5),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, 1, 0),  # a batch script, which no launcher repeats
        ({"PMI_SIZE": "many"}, 1, 0),
    ],
)
def test_launchers_tell_how_many_processes_they_have_started(environment, size, rank):
    assert (launched(environment), rank_told(environment)) == (size, rank)


@pytest.mark.parametrize("size", ["SLURM_STEP_NUM_TASKS", "PMI_SIZE"])
@pytest.mark.parametrize("rank", ["SLURM_PROCID", "PMI_RANK", "OMPI_COMM_WORLD_RANK"])
def test_the_first_process_works_as_if_there_were_no_launcher(size, rank):
    first, second = ({size: "2", rank: number, "PATH": "/bin"} for number in "01")
    assert (works_alone(first), works_alone(second), works_alone({})) == (True, False, True)
    assert first == {"PATH": "/bin"}


@pytest.mark.parametrize(("size", "count"), [(3, 8), (4, 6), (2, 12)])
def test_shards_that_processes_can_not_divide_are_refused_with_the_ways_that_there_are(size, count):
    group = Threads(0, size, None, [])
    with pytest.raises(UsageError, match=rf"fit\.shards: {count} can be trained by .* processes; there are {size}"):
        Parts(group, count)


def test_an_error_of_the_first_process_is_raised_in_all():
    def fail():
        raise UsageError("no such folder")

    def work(group):
        with pytest.raises(CnncliError) as raised:
            group.first_does(fail, lambda: None)
        return type(raised.value), str(raised.value), raised.value.exit_code

    assert in_threads(2, work) == [(UsageError, "no such folder", 2), (OfFirst, "no such folder", 2)]


def test_what_differs_between_processes_is_named():
    def work(group):
        group.same({"version": "1"})
        with pytest.raises(UsageError) as raised:
            group.same({"version": "1", "data": f"digest {group.rank}"})
        with pytest.raises(UsageError) as missing:
            group.same({} if group.rank else {"fit.epochs in the spec": 3})
        return str(raised.value), str(missing.value)

    told = (
        "all processes must have the same data: process 0 has digest 0, process 1 digest 1",
        "all processes must have the same fit.epochs in the spec: process 0 has 3, process 1 none",
    )
    assert in_threads(2, work) == [told, told]


def trainer_of(x, y, loss, weights, parts, augment=()):
    """A trainer of a small network on 20 images, with the parts of a group."""
    penalties = {"kernel_regularizer": "l2", "activity_regularizer": "l2"}
    layers = [{"Conv2D": {"filters": 3, "kernel_size": 3, **penalties}}, "ReLU"]
    layers += [] if y.ndim == 3 else ["Flatten"]
    layers += [{"Conv2DTranspose": {"filters": 3, "kernel_size": 3}}] if y.ndim == 3 else [{"Dense": {"units": 3}}]
    layers.append("Softmax")
    names = [INPUT, *(f"n{number}" for number in range(len(layers)))]
    nodes = tuple(
        Node(name, LAYERS.parse(layer), (before,))
        for name, layer, before in zip(names[1:], layers, names[:-1], strict=True)
    )
    network = Network(Model((6, 6, 1), nodes), OneOrSeveral().read(loss), batch_size=20, threads=1)
    network.initialize(1)
    feed = Feed.of(Split(x, y, "", "x_train", weights=weights), 1.0, network, augment=augment, seed=1)
    return BatchTrainer(network, feed, 1, parts)


def trained(rows, loss, y, weights, parts, augment=()):
    """Gradients and loss of a batch of some rows, with the parts of a group."""
    x = np.random.default_rng(0).random((20, 6, 6, 1)).astype(np.float32)
    trainer, sums = trainer_of(x, y, loss, weights, parts, augment), Sums()
    loss = trainer.train(rows, rows[:0], 1, sums)
    return trainer.network.gradients.data.copy(), loss, sums.samples


@pytest.mark.parametrize(("value", "what"), [(np.nan, "an image has nan"), (3e38, "the output of n0 has ")])
def test_what_is_not_finite_is_named_with_the_process_in_which_it_is(value, what):
    x = np.ones((20, 6, 6, 1), np.float32)
    x[17] = value  # of the second process

    def work(parts):
        trainer, rows = trainer_of(x, CLASSES, "categorical_crossentropy", None, parts), np.arange(20)
        assert not np.isfinite(trainer.train(rows, rows[:0], 1, Sums()))
        return trainer.first_nonfinite(1 << 20)

    first, second = in_threads(2, lambda group: work(Parts(group)))
    assert first == second
    assert first.startswith(f"in process 1, {what}")
    assert work(Parts(ALONE, 4)) == first.removeprefix("in process 1, ") == work(Parts(ALONE))


class Elsewhere(Threads):
    """A process whose others have another processor."""

    def gather(self, thing):
        return [thing, ("znver9", "+avx512f")]


def test_processors_that_differ_are_warned_of():
    (notice,) = differing(Elsewhere(0, 2, None, []))
    assert "the processes run on different processors (" in str(notice)
    assert "znver9): results depend on which process runs on which" in str(notice)
    assert not list(differing(ALONE))


class SlowLink(Threads):
    """Threads between which everything takes a while, another one each time."""

    def gather(self, thing):
        time.sleep(np.random.default_rng().uniform(0, 0.003))
        return super().gather(thing)


CLASSES = np.arange(20) % 3
MASKS = np.random.default_rng(1).integers(0, 3, (20, 6, 6)).astype(np.uint8)
VOID = np.where(np.random.default_rng(2).random((20, 6, 6)) < 0.4, 255, MASKS).astype(np.uint8)
VOID[8:15] = 255  # in parts that have nothing else, too
WEIGHTS = np.linspace(0, 2, 20, dtype=np.float32)


TASKS = pytest.mark.parametrize(
    ("loss", "y", "weights"),
    [
        ("categorical_crossentropy", CLASSES, None),
        ("categorical_crossentropy", CLASSES, WEIGHTS),
        ({"SparseCategoricalCrossentropy": {"ignore_class": 255}}, VOID, None),
    ],
)


@pytest.mark.parametrize("size", [2, 3])
@TASKS
def test_processes_find_the_gradient_and_the_loss_of_the_whole_batch(size, loss, y, weights):
    for rows in (np.arange(20), np.arange(5)):  # of 5 rows some processes have none
        whole = trained(rows, loss, y, weights, Parts(ALONE))
        for gradients, value, samples in in_threads(
            size, lambda group, rows=rows: trained(rows, loss, y, weights, Parts(group))
        ):
            np.testing.assert_allclose(gradients, whole[0], rtol=1e-4, atol=1e-6)
            assert value == pytest.approx(whole[1], rel=1e-6)
            assert samples == whole[2]


@TASKS
def test_shards_have_the_gradient_of_the_whole_batch_and_the_same_bits_in_any_number_of_processes(loss, y, weights):
    for rows in (np.arange(20), np.arange(5)):
        whole = trained(rows, loss, y, weights, Parts(ALONE))
        parts = trained(rows, loss, y, weights, Parts(ALONE, 4))
        np.testing.assert_allclose(parts[0], whole[0], rtol=1e-4, atol=1e-6)
        assert parts[1] == pytest.approx(whole[1], rel=1e-6)
        for found in in_threads(2, lambda group, rows=rows: trained(rows, loss, y, weights, Parts(group, 4))):
            assert found[0].tobytes() == parts[0].tobytes()
            assert found[1:] == parts[1:]


OVERLAP = ["categorical_crossentropy", {"tversky": {"alpha": 0.2, "beta": 0.5}}, "hinge"]


@pytest.mark.parametrize(
    ("loss", "y", "weights"), [(OVERLAP, MASKS, None), (OVERLAP, CLASSES, WEIGHTS)], ids=["masks", "classes"]
)
def test_shards_sum_the_losses_of_a_batch_over_all_of_it(loss, y, weights):
    for rows in (np.arange(20), np.arange(5)):
        whole, parts = (trained(rows, loss, y, weights, Parts(ALONE, count)) for count in (None, 4))
        np.testing.assert_allclose(parts[0], whole[0], rtol=1e-4, atol=1e-6)
        assert parts[1] == pytest.approx(whole[1], rel=1e-6)


MIXES = [AUGMENTATIONS.parse("RandomErasing"), AUGMENTATIONS.parse("CutMix"), AUGMENTATIONS.parse("MixUp")]


@TASKS
def test_images_are_mixed_with_others_of_the_whole_batch(loss, y, weights):
    for rows in (np.arange(20), np.arange(5)):
        whole = trained(rows, loss, y, weights, Parts(ALONE), MIXES)
        sharded = trained(rows, loss, y, weights, Parts(ALONE, 4), MIXES)
        both = in_threads(2, lambda group, rows=rows: trained(rows, loss, y, weights, Parts(group), MIXES))
        for found in (sharded, *both):
            np.testing.assert_allclose(found[0], whole[0], rtol=1e-4, atol=1e-6)
            assert found[1] == pytest.approx(whole[1], rel=1e-5)
        plain = trained(rows, loss, y, weights, Parts(ALONE))
        assert whole[1] != pytest.approx(plain[1], rel=1e-3)


def test_a_slow_link_changes_no_bit():
    rows = np.arange(20)

    def work(group):
        return trained(rows, "categorical_crossentropy", CLASSES, None, Parts(group))

    (fast, *_), slow = in_threads(2, work), in_threads(2, work, SlowLink)
    assert all(found[0].tobytes() == fast[0].tobytes() and found[1] == fast[1] for found in slow)
