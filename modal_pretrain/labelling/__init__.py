"""Label your own pictures or texts with a model that asks, in Python or on a page.

`LabelSession` is the whole of it without a page; ``modal-pretrain label FOLDER`` puts
one around it. Pages of other tools can be put around it, too.
"""

from modal_pretrain.labelling.advice import Advice, Doubt
from modal_pretrain.labelling.asked import AnsweredError, NotAskedError
from modal_pretrain.labelling.export import Exported
from modal_pretrain.labelling.moved import Lost
from modal_pretrain.labelling.progress import Progress
from modal_pretrain.labelling.questions import Question
from modal_pretrain.labelling.session import LabelSession
from modal_pretrain.labelling.why import Near, Why

__all__ = [
    "Advice",
    "AnsweredError",
    "Doubt",
    "Exported",
    "LabelSession",
    "Lost",
    "Near",
    "NotAskedError",
    "Progress",
    "Question",
    "Why",
]
