"""From a trained network to a bundle on disk: convert, measure, pass the bars, write; or change nothing.

Enters: the network, a manifest that lacks only what is measured here, and windows of people that were not
trained on. Leaves: a checked bundle folder with its model card. A variant that fails a bar is left out and told
in the card; where none passes, an error is raised and no file written.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Manifest, Variant, write_bundle
from edge.errors import TrainingError
from edge.model import RuntimeName
from trainer.agreement import measure_agreement, require_agreement
from trainer.calibration import Abstention, apply_temperature, expected_calibration_error
from trainer.card import Comparison, Provenance, draw_pictures, write_card
from trainer.convert import N_CALIBRATION_WINDOWS, SHIPPED_VARIANTS, convert
from trainer.evaluate import Figures, evaluate
from trainer.network import max_abs_cells, predict
from trainer.training import History, LabelledWindows
from trainer.variants import answers

LICENCE_NAME = "LICENCE.txt"
# The fused int8 LSTM keeps its cells in 16 bits with at most 6 before the point.
LARGEST_INT8_CELL = 64.0


# Half of the coefficients lie within 0.05 and the largest reach 40: an int8 step made for those rounds the half away.
# What lies beyond this share is set to the largest int8 number instead (measured on twins: no float answer changes).
CALIBRATION_QUANTILE = 0.999


def calibration_windows(train: LabelledWindows, *, seed: int) -> NDArray[np.float32]:
    """Windows ``(n, n_coefficients, n_channels)`` to measure int8 ranges on: drawn from training people, evenly.

    Clipped at the `CALIBRATION_QUANTILE` of all coefficients' sizes, so that the input's int8 step is made for what is
    usual; `edge.model` sets to the largest number what is larger.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(train.person_ids))
    # First each person's first window of the random order, then each one's second, and so on.
    _, person_index = np.unique(train.person_ids[order], return_inverse=True)
    turn = np.empty(len(order), np.int64)
    for person in range(int(person_index.max()) + 1):
        own = np.flatnonzero(person_index == person)
        turn[own] = np.arange(len(own))
    chosen = order[np.argsort(turn, kind="stable")[:N_CALIBRATION_WINDOWS]]
    windows: NDArray[np.float32] = train.coefficients[np.sort(chosen)]
    limit = np.float32(np.quantile(np.abs(windows), CALIBRATION_QUANTILE))
    clipped: NDArray[np.float32] = np.clip(windows, -limit, limit)
    return clipped


def export_bundle(
    folder: Path,
    draft: Manifest,
    network: Any,
    *,
    calibration: NDArray[np.float32],
    rolling: NDArray[np.float32],
    abstain: Callable[[NDArray[np.float32]], Abstention],
    test: LabelledWindows,
    history: History,
    provenance: Provenance,
    comparisons: Sequence[Comparison] = (),
    runtime: RuntimeName | None = None,
) -> Bundle:
    """Write the bundle ``folder``: int8 and dynamic range, each with its agreement, the card and its pictures.

    ``draft`` has no variants and no threshold yet; its ``training.figures`` are completed with the default variant's
    figures on ``test``, the largest cells, the best epoch and what the threshold gives. ``calibration`` are windows of
    training people; of ``rolling``, consecutive windows of validation people, ``abstain`` gets the default variant's
    probabilities and finds the threshold; ``test`` are windows of people that took part in neither. A variant that
    fails a bar of `trainer.agreement` is left out; `TrainingError` where all do.
    """
    models = convert(network, calibration, SHIPPED_VARIANTS)
    cells = max_abs_cells(network, test.coefficients)
    float_probabilities = predict(network, test.coefficients)
    variants: dict[str, Variant] = {}
    figures: dict[str, Figures] = {}
    probabilities: dict[str, NDArray[np.float32]] = {}
    left_out: dict[str, str] = {}
    for name, model in models.items():
        answered = answers(model, test.coefficients, runtime=runtime)
        agreement = measure_agreement(float_probabilities, answered.probabilities, test.label_index, test.person_ids)
        try:
            require_agreement(name, agreement)
        except TrainingError as error:
            left_out[name] = str(error)
            if name == "int8" and max(cells) >= LARGEST_INT8_CELL:
                left_out[name] += (
                    f"; its LSTM cells reach {max(cells):.0f}, int8 holds up to {LARGEST_INT8_CELL:g}: "
                    "train with a lower learning rate"
                )
            continue
        variants[name] = Variant(
            file=f"model.{name}.tflite",
            sha256=hashlib.sha256(model).hexdigest(),
            n_bytes=len(model),
            input=answered.input,
            output=answered.output,
            agreement=agreement,
        )
        figures[name] = evaluate(answered.probabilities, test.label_index, test.person_ids)
        probabilities[name] = answered.probabilities
    if not variants:
        raise TrainingError("; ".join(left_out.values()))
    default = next(name for name in (draft.default_variant, *variants) if name in variants)
    shipped = figures[default]
    by_name = {str(name): model for name, model in models.items() if name in variants}
    found = abstain(answers(by_name[default], rolling, runtime=runtime).probabilities)
    measured = draft.training.figures | _figures(shipped, cells, history)
    measured |= {"validation_answered_share": found.answered_share, "validation_wrong_share": found.wrong_share}
    for suffix, temperature in (("", draft.temperature), ("_raw", 1.0)):
        applied = apply_temperature(probabilities[default], temperature)
        measured[f"test_expected_calibration_error{suffix}"] = expected_calibration_error(applied, test.label_index)
    manifest = msgspec.structs.replace(
        draft,
        variants=variants,
        default_variant=default,
        decision=msgspec.structs.replace(draft.decision, least_confidence=found.least_confidence),
        training=msgspec.structs.replace(draft.training, figures=measured),
    )
    pictures = draw_pictures(manifest.labels, shipped, history)
    card = write_card(manifest, shipped, comparisons, cells, list(pictures), provenance, list(left_out.values()))
    terms = {LICENCE_NAME: f"{provenance.licence}\n\n{provenance.credit}\n".encode()}
    return write_bundle(folder, manifest, by_name, card, pictures | terms)


def _figures(shipped: Figures, cells: tuple[float, ...], history: History) -> dict[str, float]:
    found: dict[str, float] = {
        "test_people": float(shipped.n_people),
        "test_windows": float(shipped.n_windows),
        "epochs": float(len(history.epochs)),
        "best_epoch": float(history.best_epoch + 1),
        "validation_accuracy": history.best.validation_accuracy,
        "validation_loss": history.best.validation_loss,
    }
    for name in (
        "balanced_accuracy_by_person",
        "accuracy_by_person",
        "balanced_accuracy_by_window",
        "accuracy_by_window",
    ):
        interval = getattr(shipped, name)
        found |= {f"test_{name}": interval.value}
        found |= {f"test_{name}_lower_95": interval.lower, f"test_{name}_upper_95": interval.upper}
    found |= {f"max_abs_cell_lstm_{layer}": peak for layer, peak in enumerate(cells, start=1)}
    return found
