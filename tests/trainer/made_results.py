"""Trial results made up for tests of figures and reports: how often a method is right is chosen, nothing is trained."""

from collections.abc import Sequence

import numpy as np

from trainer.training import Epoch, History
from trainer.trial import Answers, TrialResult, Unit

LABELS = ("slow", "usual", "fast")


def made_answers(
    person_labels: Sequence[int], ids: Sequence[str], *, right: float, per_person: int, seed: int, unit: Unit = "window"
) -> Answers:
    """Rows of each person; a person leans to the true class with the chance ``right``, all rows alike but for noise."""
    generator = np.random.default_rng(seed)
    truth = np.array(person_labels, np.int64)
    wrong = (truth + 1 + generator.integers(0, len(LABELS) - 1, len(truth))) % len(LABELS)
    leans = np.where(generator.random(len(truth)) < right, truth, wrong)
    logits = generator.normal(size=(len(truth), per_person, len(LABELS)))
    logits[np.arange(len(truth)), :, leans] += 2.5
    likely = np.exp(logits).reshape(-1, len(LABELS))
    return Answers(
        unit,
        (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32),
        np.repeat(truth, per_person),
        np.repeat(np.array(ids), per_person),
    )


def made_history(n_epochs: int, seed: int) -> History:
    """Losses that fall and a validation loss that turns."""
    generator = np.random.default_rng(seed)
    steps = np.arange(n_epochs)
    noise = 0.03 * generator.normal(size=n_epochs)
    epochs = tuple(
        Epoch(
            0.9 - 0.5 * np.exp(-i / 4), np.exp(-i / 5) + 0.2, 0.8 - 0.4 * np.exp(-i / 4), 0.5 + (i - 8) ** 2 / 200 + n
        )
        for i, n in zip(steps.tolist(), noise.tolist(), strict=True)
    )
    return History(epochs, min(range(n_epochs), key=lambda i: epochs[i].validation_loss))


def made_results(
    method: str,
    *,
    right: float,
    n_people: int = 60,
    seeds: Sequence[int] = (1, 2),
    n_folds: int = 3,
    per_person: int = 8,
    protocol: str = "person",
    note: str = "",
    unit: Unit = "window",
) -> list[TrialResult]:
    """Every fold of every seed; ``window`` and ``transfer`` have one fold a seed, which tests everybody."""
    labels = np.arange(n_people) % len(LABELS)
    ids = np.array([f"P{person:03d}" for person in range(n_people)])
    rows = 1 if unit == "person" else per_person
    n_parts = n_folds if protocol == "person" else 1
    results = []
    for seed in seeds:
        parts = np.array_split(np.random.default_rng(seed).permutation(n_people), n_parts)
        for index, part in enumerate(parts, start=1):
            fold = f"{protocol}-s{seed}" + (f"-f{index}" if n_parts > 1 else f"-{note.replace(' ', '-')}")
            noise = 1000 * seed + 10 * index + len(method)
            results.append(
                TrialResult(
                    key=f"{fold}--{method}",
                    method=method,
                    protocol=protocol,
                    fold=fold,
                    seed=seed,
                    note=note,
                    validation=made_answers(
                        labels[:9].tolist(), ids[:9].tolist(), right=right, per_person=rows, seed=noise + 1, unit=unit
                    ),
                    test=made_answers(
                        labels[part].tolist(), ids[part].tolist(), right=right, per_person=rows, seed=noise, unit=unit
                    ),
                    temperature=1.4,
                    n_train_people=n_people - len(part),
                    n_train_windows=per_person * (n_people - len(part)),
                    duration_s=12.0,
                    history=None if method.startswith("baseline:") else made_history(14, noise),
                )
            )
    return results
