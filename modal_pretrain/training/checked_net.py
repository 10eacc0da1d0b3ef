"""skorch's classifier with parameters that are checked, and remembered by what learns.

Nothing here trains; `FewLabelsNet` does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sklearn.base import BaseEstimator
from skorch import NeuralNetClassifier

from modal_pretrain._checks import Rule, check_parameters, look_up
from modal_pretrain._decisive import check_unchanged
from modal_pretrain.training.other_names import parameter_meant
from modal_pretrain.training.parameters import NET_RULES, known_parameters


class CheckedNet(NeuralNetClassifier):
    """skorch's classifier, mended where it takes parameters.

    What differs from skorch:

    - parameters may be anything until the first fit, which names the one that is wrong;
    - what `set_params` says to a trained net counts from the next fit on;
    - a net whose parameters have changed so that they no longer go with what it learnt
      says so instead of predicting.
    """

    def _check_parameters(self) -> None:
        known = known_parameters(type(self))  # type: ignore[arg-type]
        for name in sorted(self._params_to_validate):
            if name not in known and "__" not in name and not name.endswith("_"):
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}."
                    f"{parameter_meant(name, known)}"
                )
        check_parameters(vars(self), self._rules())

    def _rules(self) -> Mapping[str, Rule]:
        """Say what each parameter may be."""
        return NET_RULES

    def _decisive(self) -> dict[str, Any]:
        """Return the parameters that what is learnt depends on, with their values."""
        return {
            name: value
            for name, value in vars(self).items()
            if name.split("__")[0] in ("module", "criterion")
        }

    def _check_unchanged(self, names: Collection[str] | None = None) -> None:
        """Raise ValueError if what was learnt no longer goes with these parameters."""
        was, now = (
            {n: value for n, value in params.items() if names is None or n in names}
            for params in (self.learnt_with_, self._decisive())
        )
        check_unchanged(type(self), was, now)

    def __setattr__(self, name: str, value: Any) -> None:
        # skorch refuses modules as parameters here; that they are wrong, and what would
        # be right, is said at fit.
        if name.endswith("_"):
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)

    def _get_param_names(self):
        # skorch counts private attributes as parameters, which clone then passes.
        return sorted(
            name
            for name in self.__dict__
            if not name.startswith("_") and not name.endswith("_")
        )

    def set_params(self, **params):
        """Set parameters, see scikit-learn; they count from the next training on."""
        if not self.initialized_:
            if "callbacks" in params:
                self.callbacks = params.pop("callbacks")
            return super().set_params(**params)
        if "callbacks" not in params:
            self._check_callbacks_named(params)
        rest, of_optimizer = {}, {}
        # skorch builds these at once.
        built = {n: v for n, v in params.items() if n in ("callbacks", "optimizer")}
        check_parameters(built, self._rules())
        if "callbacks" in params:
            # skorch would build the old ones again, and note the new ones.
            self.callbacks = params.pop("callbacks")
            self._initialize_callbacks()
        for name, value in params.items():
            component = name.split("__")[0]
            if name == "lr" or component == "optimizer":
                of_optimizer[name] = value
            elif component in _NEXT_FIT:
                self.__dict__[name] = value
                self._params_to_validate.add(name)
            else:
                rest[name] = value
        # skorch would tell the present optimizer only, which the next fit replaces.
        self.__dict__.update(of_optimizer)
        rebuild = "optimizer" in of_optimizer or (
            "lr" in of_optimizer and self._is("lr", "auto")
        )
        super().set_params(**rest, **({} if rebuild else of_optimizer))
        if rebuild:
            self._build_optimizer()
        return self

    def initialize_callbacks(self):
        """Initialize the callbacks, see skorch, if those that parameters name exist."""
        self._check_callbacks_named(vars(self))
        return super().initialize_callbacks()

    def _check_callbacks_named(self, params: Mapping[str, Any]) -> None:
        if self._is("callbacks", "disable"):
            return
        known = dict(self._uniquely_named_callbacks())
        for parameter in params:
            start, _, rest = parameter.partition("__")
            named = any(f"{rest}__".startswith(f"{name}__") for name in known)
            if start == "callbacks" and rest and not named:
                look_up(known, rest.split("__")[0], f"callback for {parameter}:")

    def _is(self, parameter: str, word: str) -> bool:
        # Parameters may be anything until fit, arrays too.
        value = getattr(self, parameter)
        return isinstance(value, str) and value == word

    __repr__ = BaseEstimator.__repr__


# What skorch refuses of a net once it is trained, or would build it anew for.
_NEXT_FIT = (
    "module",
    "criterion",
    "iterator_train",
    "iterator_valid",
    "dataset",
    "compile",
)
