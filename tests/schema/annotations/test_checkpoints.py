"""Checkpoints in the database."""

from schema.upkeep.delete import delete_circuit


def test_a_checkpoint_goes_with_its_set(connection, history):
    for circuit in history[100]:
        delete_circuit(connection, circuit.id)
    left = connection.read("MATCH (k:Checkpoint) RETURN k.step AS step ORDER BY step")
    assert left == [{"step": 200}, {"step": 400}]
