"""Which licence a student may have beside those of the models that it was made of.

Only what the licences themselves plainly say is decided here, by the Hub's licence ids; the rest is left to
who reads the terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hubdistill.card.vocabulary import words

PERMISSIVE: Final = words(
    """
    apache-2.0 mit afl-3.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear cc0-1.0 cc-by-2.0
    cc-by-2.5 cc-by-3.0 cc-by-4.0 cdla-permissive-1.0 cdla-permissive-2.0 ecl-2.0 etalab-2.0 isc ncsa odc-by
    pddl postgresql unlicense wtfpl zlib
    """
)
"""What is made from such work may carry another licence; notices and attribution stay."""

NON_COMMERCIAL: Final = words(
    """
    cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
    fair-noncommercial-research-license
    """
)

SHARE_ALIKE: Final = words(
    """
    cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 gpl gpl-2.0 gpl-3.0 agpl-3.0
    """
)
"""What is made from such work carries the same licence, or one that the licence itself names."""

NO_DERIVATIVES: Final = words("cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0")
"""What is made from such work may not be shared."""


def license_conflict(own: str, origin: str | None) -> str | None:
    """Why a licence does not fit that of a model that the student was made of.

    Args:
        own: the student's, an id of the Hub.
        origin: the other model's; None when it declares none.

    Returns:
        The reason, to follow the other licence in a sentence; None where nothing plainly speaks against it.
    """
    if origin in NO_DERIVATIVES:
        return "lets nobody share what is made from it"
    if own == origin:
        return None
    if origin in NON_COMMERCIAL and own in (PERMISSIVE | SHARE_ALIKE) - NON_COMMERCIAL:
        return f"allows no commercial use, which {own} does"
    if origin in SHARE_ALIKE and own in PERMISSIVE | (NON_COMMERCIAL - SHARE_ALIKE):
        return "asks that what is made from it stay under it"
    return None


def find_conflicts(own: str, origins: Mapping[str, str | None]) -> list[str]:
    """Say which of the models that a student was made of do not let it have its licence.

    Args:
        origins: licence by name of the model.

    Returns:
        A sentence each, with what mends it.
    """
    found = []
    for name, origin in origins.items():
        if reason := license_conflict(own, origin):
            mend = "take another model" if origin in NO_DERIVATIVES else f"set card.license to {origin}"
            found.append(
                f"license: {own} does not fit {origin}, the licence of {name}, which {reason}; {mend}, or, "
                "if its author has granted you more, say so in card.license_note"
            )
    return found


def license_remark(own: str, origin: str | None, name: str) -> str:
    """What a reader is told about a student's licence and that of a model that it was made of.

    Args:
        name: of the other model: "the teacher".
    """
    if origin is None:
        return f"{name.capitalize()} declares no licence."
    if own == origin:
        return ""
    if reason := license_conflict(own, origin):
        return f"{origin}, the licence of {name}, {reason}: see the owner's note."
    if origin in PERMISSIVE:
        return f"The licence differs from that of {name} ({origin}), whose notices have to be kept."
    return f"hubdistill cannot tell whether it is compatible with {origin}, the licence of {name}: read both."
