"""What training tells: how far it is, and the story of its epochs.

Plain values that training makes and others read; TensorFlow is never needed for that.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands; ``remaining_s`` counts every epoch still allowed, early stopping may end it sooner."""

    epoch: int
    n_epochs: int
    windows_done: int
    n_windows: int
    windows_per_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """Accuracy and loss after one epoch; the losses contain the regularisation."""

    train_accuracy: float
    train_loss: float
    validation_accuracy: float
    validation_loss: float


@dataclass(frozen=True, slots=True)
class History:
    """Every epoch that was run, and the index of the one whose weights the network holds."""

    epochs: tuple[Epoch, ...]
    best_epoch: int

    @property
    def best(self) -> Epoch:
        """The epoch whose weights the network holds."""
        return self.epochs[self.best_epoch]
