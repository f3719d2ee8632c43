"""Publishing: one commit of a model, its card, figures and report.

`push` takes a folder and makes a commit; it never computes a score and never imports torch. Then it reads
the commit back, loads the model from the Hub in a fresh process and compares its vectors with the local ones,
which `check_loads_back` does alone. `preflight` finds out beforehand whether a push would be let in. Gates
are conditions on the report without which nothing is pushed.
"""

from hubdistill.hub.access import Preflight, preflight
from hubdistill.hub.card_conflicts import refuse_foreign_card
from hubdistill.hub.collection import Collection
from hubdistill.hub.files import LeftOut
from hubdistill.hub.gates import GateCheck, GateResult
from hubdistill.hub.load_back import check_loads_back
from hubdistill.hub.outcome import PushOutcome
from hubdistill.hub.plan import FilePlan
from hubdistill.hub.publish import push

__all__ = [
    "Collection",
    "FilePlan",
    "GateCheck",
    "GateResult",
    "LeftOut",
    "Preflight",
    "PushOutcome",
    "check_loads_back",
    "preflight",
    "push",
    "refuse_foreign_card",
]
