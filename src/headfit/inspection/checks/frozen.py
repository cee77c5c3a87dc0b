"""Checks of a frozen backbone: batch normalisation that learns, ``trainable`` set too late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from headfit.backbones.graphs.trace import Call
from headfit.inspection.inspected_model import InspectedModel, Remark, named

# layers whose weights are statistics, which no optimizer changes
_STATISTICS = ("Normalization", "Rescaling")
# optimizers that keep the same number of arrays for each trainable weight, each of its shape
_REGULAR = {
    *("SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Nadam", "Ftrl", "Lion")
}
_CODE = "trainable_changed_after_compile"


def check_batchnorm(subject: InspectedModel) -> Iterator[Remark]:
    """Find batch normalisation in training mode in an otherwise frozen backbone."""
    norms = [c for c in subject.trace.calls if c.kind == "BatchNormalization" and c.trainable]
    forced = [call for call in norms if call.training is True]
    free = _left_free(subject.backbone)
    if forced:
        yield Remark(
            "batchnorm_training",
            f"{len(forced)} BatchNormalization layers ({named(forced)}) are called with "
            f"training=True: a prediction depends on the other images of its batch. Call the "
            f"backbone with training=False.",
        )
    elif free:
        yield Remark(
            "batchnorm_training",
            f"{len(free)} BatchNormalization layers ({named(free)}) are trainable in an "
            f"otherwise frozen backbone: training replaces their statistics with those of your "
            f"batches. Freeze them too, or call the backbone with training=False.",
        )


def _left_free(backbone: list[Call]) -> list[Call]:
    """List trainable BatchNormalization before a frozen layer, if all other layers are frozen.

    Each nested model is checked separately, up to its last frozen layer: a new BatchNormalization
    on top of a frozen backbone is meant to learn.
    """
    learning: list[Call] = []
    for within in dict.fromkeys(call.within for call in backbone):
        waiting: list[Call] = []
        free: list[Call] = []
        frozen = True
        for call in backbone:
            if call.within != within or not call.weights or call.kind in _STATISTICS:
                continue
            if call.kind == "BatchNormalization":
                waiting += [call] * (call.trainable and call.training is None)
            else:
                frozen = frozen and not call.trainable
                free, waiting = free + waiting, []
        learning += free if frozen else []
    return learning


def check_trainable(subject: InspectedModel) -> Iterator[Remark]:
    """Compare the optimizer's state with the weights that are trainable now.

    A file does not record a change of ``trainable`` after ``compile``. But an optimizer that has
    run keeps arrays for each weight that it trained.
    """
    slots = Counter(subject.saved.slots)
    if not slots or subject.saved.optimizer not in _REGULAR:
        return
    model = subject.trace.model
    wanted = Counter(tuple(w.shape) for w in model.trainable_variables if tuple(w.shape))
    times = sum(slots.values()) // max(1, sum(wanted.values()))
    if slots != Counter({shape: times * count for shape, count in wanted.items()}):
        yield Remark(
            _CODE,
            f"The optimizer's state ({sum(slots.values())} arrays) does not match the "
            f"{sum(wanted.values())} trainable weights: 'trainable' was changed after the model "
            f"was compiled and trained. Compile again after every change.",
        )


def unseen(subject: InspectedModel) -> Iterator[Remark]:
    """Report why the file cannot show whether ``trainable`` was changed after ``compile``."""
    saved = subject.saved
    if saved.compiled is None:
        reason = "the model in the file is not compiled"
    elif not saved.slots:
        reason = "the optimizer has no state for the weights: it never ran, or it keeps none"
    elif saved.optimizer not in _REGULAR:
        reason = f"the state of the optimizer {saved.optimizer} does not show its weights"
    else:
        return
    yield Remark(_CODE, f"Cannot be checked: {reason}.")
