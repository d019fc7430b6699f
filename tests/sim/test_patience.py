"""When a worker hangs."""

import os
import time

import pytest

from sim.patience import Patience, cpu_s


@pytest.fixture
def patience() -> Patience:
    return Patience(10.0, used_s=100.0, now=1000.0)


def test_it_ends_when_the_cpu_time_is_used_up(patience: Patience) -> None:
    assert not patience.ends(109.9, 1011.0)
    assert patience.ends(110.1, 1012.0)


def test_it_ends_when_nothing_is_done_any_more(patience: Patience) -> None:
    assert not patience.ends(101.0, 1005.0)
    assert not patience.ends(101.0, 1014.9)
    assert patience.ends(101.0, 1015.1)


def test_on_a_busy_machine_it_lasts_ten_times_as_long(patience: Patience) -> None:
    for second in range(1, 100):
        assert not patience.ends(100 + 0.01 * second, 1000.0 + second)
    assert patience.ends(101.01, 1100.1)


def test_the_cpu_time_of_a_process_grows_as_it_works() -> None:
    before = cpu_s(os.getpid())
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass
    assert cpu_s(os.getpid()) - before >= 0.08
