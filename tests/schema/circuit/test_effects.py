"""Effects between the features of a circuit."""

from tests.support.circuits import drives, effects


def test_effects_are_what_drives_sums(circuits):
    assert {pair for circuit in circuits for pair in effects(circuit)} == set(drives(circuits))
