"""What other libraries call the parameters of the estimators here."""

from __future__ import annotations

from collections.abc import Collection

from modal_pretrain._checks import did_you_mean

# By letters alone, the nearest of some is another's: model_name is like skorch's
# module, which takes no names of networks.
OTHER_NAMES = {
    "backbone": ("arch", "architecture", "model", "model_name"),
    "pretrained": ("checkpoint", "checkpoint_path", "weights"),
    "lr": ("learning_rate", "learning_rate_init"),
    "max_epochs": ("max_iter", "n_epochs", "num_epochs"),
    "module__dropout": ("drop_rate", "dropout"),
    "n_threads": ("n_jobs", "num_workers"),
    "random_state": ("seed",),
    "tune": ("freeze", "freeze_backbone"),
}
HERE = {other: name for name, others in OTHER_NAMES.items() for other in others}


def parameter_meant(name: str, known: Collection[str]) -> str:
    """Return a sentence with the parameter that was meant, or an empty string.

    Parameters
    ----------
    name : str
        What is no parameter.
    known : collection of str
        The parameters that there are.

    Returns
    -------
    str
    """
    here = HERE.get(name, "")
    if here.split("__")[0] in known:
        return f" Did you mean {here!r}?"
    return did_you_mean(name, known)
