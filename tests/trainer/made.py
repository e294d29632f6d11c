"""Small datasets made by formula, so that tests of stores, protocols and runs need no files and take no time."""

from pathlib import Path

import numpy as np

from edge.sources.conventions import nominal_time_ns
from edge.sources.recording import Recording
from trainer.datasets.dataset import TWINS, Dataset, Subject, Walk
from trainer.store import WindowStore, build_store
from trainer.train_config import SignalConfig

LABELS = ("robust", "pre-frail", "frail")


def made_recording(seed: int, level: float, *, n_samples: int = 1200, rate_hz: float = 104.0) -> Recording:
    """A foot that swings the wider, the higher ``level``; noise by ``seed``; gravity on z."""
    generator = np.random.default_rng(seed)
    t_s = np.arange(n_samples) / rate_hz
    phase = 2 * np.pi * t_s / 1.1 + generator.uniform(0, 2 * np.pi)
    waves = np.stack([np.sin((1 + channel % 3) * phase + channel) for channel in range(6)], axis=1)
    samples = (1 + level) * waves + 0.1 * generator.normal(size=(n_samples, 6)) + [0, 0, 9.81, 0, 0, 0]
    return Recording(
        path=Path(f"made-{seed}.csv"),
        rate_hz=rate_hz,
        time_ns=nominal_time_ns(np.arange(n_samples, dtype=np.int64), rate_hz),
        samples=samples.astype(np.float32),
        gravity="included",
    )


def made_dataset(
    n_people: int, *, walks: int = 2, n_samples: int = 1200, devices: tuple[str, ...] = ("A", "B")
) -> Dataset:
    """People of three classes in turn, the devices in turn of three."""
    subjects = tuple(
        Subject(
            id=f"P{index:03d}",
            label=LABELS[index % 3],
            walks=tuple(
                Walk(
                    f"P{index:03d} {walk}",
                    made_recording(100 * index + walk, float(index % 3), n_samples=n_samples),
                    devices[index // 3 % len(devices)],
                )
                for walk in range(walks)
            ),
            traits={"site": "north" if index % 2 else "south"},
        )
        for index in range(n_people)
    )
    return Dataset(
        kind="made",
        folder=Path("made"),
        register=Path("made/people.csv"),
        target="frailty",
        labels=LABELS,
        subjects=subjects,
        gravity="included",
        trained_on=TWINS,
        licence="none needed",
        credit="computed",
    )


def made_store(n_people: int) -> WindowStore:
    """The windows of `made_dataset`."""
    return build_store(made_dataset(n_people), SignalConfig())
