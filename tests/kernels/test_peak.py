"""The loop that the peak is measured with does the multiply-adds that it is counted for."""

import numpy as np
import pytest

from cnncli.kernels.jit import peak, runtime


@pytest.mark.parametrize("lanes", peak.LANES)
@pytest.mark.parametrize("turns", [0, 1, 7])
def test_every_chain_of_every_lane_does_one_multiply_add_a_turn(lanes, turns):
    start = np.random.default_rng(lanes).normal(size=(peak.CHAINS + 2, 16)).astype(np.float32)
    out = np.full((1, 16), -1, np.float32)
    places = {"start": start.ctypes.data, "out": out.ctypes.data}
    runtime.run([peak.loop_worker.step("float32", 1, **places, turns=turns, lanes=lanes)])
    chains, factor, term = start[: peak.CHAINS].astype(np.float64), start[peak.CHAINS], start[peak.CHAINS + 1]
    for _ in range(turns):
        chains = chains * factor + term
    np.testing.assert_allclose(out[0, :lanes], chains.sum(0)[:lanes], rtol=1e-4, atol=1e-4)
    assert (out[0, lanes:] == -1).all()


def test_the_peak_is_what_a_core_can_do():
    assert 1e9 < peak.peak(1, rounds=1) < 1e12
