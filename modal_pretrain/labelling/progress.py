"""How far a session is, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from modal_pretrain.labelling.background import Background
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.records import CANNOT_TELL, LABELLED, SKIPPED


class Progress(NamedTuple):
    """How far a session is.

    Parameters
    ----------
    n, labelled, skipped, cannot_tell, unreadable : int
        Rows of the pool, and what became of some of them.
    by_class : dict of str to int
        Labels of each class, in the order of the classes.
    embedded : int
        Rows that the model has seen.
    learnt : int
        Labels that the model knows, 0 before the first fit.
    problem : str
        Why the last fit failed, or the rows could not be embedded, else empty. The
        model is as it was before, and each answer is another try of a fit.
    first : int
        Labels before the first fit.
    model : int
        Number of the present model, which goes up with every fit: a label that measures
        it, or is corrected, leaves `learnt` as it is.
    """

    n: int
    labelled: int
    skipped: int
    cannot_tell: int
    unreadable: int
    by_class: dict[str, int]
    embedded: int
    learnt: int
    problem: str
    first: int
    model: int

    @classmethod
    def of(
        cls, classes: Sequence[str], ledger: Ledger, background: Background
    ) -> Progress:
        """Count."""
        count = ledger.by_class()
        states = [record.status for record in ledger.state.values()]
        belief = background.belief
        return cls(
            n=len(background.pool),
            labelled=states.count(LABELLED),
            skipped=states.count(SKIPPED),
            cannot_tell=states.count(CANNOT_TELL),
            unreadable=len(background.unreadable),
            by_class={name: count[name] for name in classes},
            embedded=int(background.embedded.sum()),
            learnt=0 if belief is None else belief.learnt,
            problem=background.problem,
            first=background.first,
            model=background.model,
        )
