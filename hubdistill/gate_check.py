"""Gates against what will be measured: a slip in a name is told before hours of work, not after them."""

from __future__ import annotations

from collections.abc import Iterable

from hubdistill.conditions import Condition
from hubdistill.evaluation.definitions import METRICS
from hubdistill.hub.gates import parse_gates, unknown
from hubdistill.recipe import RESERVED_NAMES, Evaluation


def check_gates(gates: Iterable[str], evaluation: Evaluation) -> None:
    """Refuse gates on metrics or data that no evaluation with these settings has.

    Data may also be named by its title, which is known once it is read: what has a space in it passes, and
    with tasks of MTEB, which may stand for others, everything does.

    Raises:
        GateError: it names what there is.
    """
    known = {pairs.name for pairs in evaluation.similarity} | {task.name for task in evaluation.retrieval}
    known |= RESERVED_NAMES
    for gate in parse_gates(gates):
        if not isinstance(gate, Condition):
            continue
        if gate.metric not in METRICS:
            raise unknown(
                gate, "no such metric will be measured", gate.metric, METRICS, there="there will be"
            )
        if gate.data and gate.data not in known and " " not in gate.data and not evaluation.mteb:
            raise unknown(
                gate, "no such data will be measured", gate.data, sorted(known), there="there will be"
            )
