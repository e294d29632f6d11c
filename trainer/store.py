"""All windows of a dataset, as places in one long array of samples at the bundle's rate.

A dataset goes in; windows come out by their index, raw in SI units or as the coefficients that the edge would compute
of them, bit for bit: all of them, or those that the edge would classify (`trainer.cutting`). Each sample is kept once
however many windows hold it. Nothing that is learned (limits, scaler) is in here, so that one store serves every fold;
so the flag "out of range", which asks for the scaler, refuses nothing here. On disk it is a folder of arrays that
worker processes map.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pywt
from numpy.typing import NDArray

from edge.errors import DatasetError
from edge.sources.recording import Gravity
from edge.stream.preprocess import WAVELET, SignalSpec, clean_and_scale
from firmware_bridge.channels import N_CHANNELS, Samples
from trainer.cutting import cut
from trainer.datasets.dataset import Dataset, Subject, Walk
from trainer.train_config import SignalConfig

_ARRAYS: Final = ("samples", "start", "walk", "piece_start", "piece_stop", "piece_walk", "walk_subject", "label_index")


@dataclass(frozen=True, slots=True)
class WindowStore:
    """``n`` windows of people; every index array is int64.

    ``samples`` has shape ``(n_samples, 6)``: SI units, foot frame, at ``rate_hz``. ``start`` and ``walk``, both
    ``(n,)``: where a window begins in ``samples``, and of which walk it is. ``piece_*``, ``(n_pieces,)``: the
    stretches without a long gap, half-open, and their walk. Of judged windows a stretch is only what they hold, and a
    walk that has none of them is not in here; ``refused`` counts the others by reason. ``walk_subject`` has shape
    ``(n_walks,)``, ``label_index`` ``(n_subjects,)``.
    """

    labels: tuple[str, ...]
    subject_ids: tuple[str, ...]
    walk_names: tuple[str, ...]
    walk_devices: tuple[str, ...]
    subject_traits: tuple[dict[str, str], ...]
    gravity: Gravity
    rate_hz: float
    window_samples: int
    samples: Samples
    start: NDArray[np.int64]
    walk: NDArray[np.int64]
    piece_start: NDArray[np.int64]
    piece_stop: NDArray[np.int64]
    piece_walk: NDArray[np.int64]
    walk_subject: NDArray[np.int64]
    label_index: NDArray[np.int64]
    refused: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def subject(self) -> NDArray[np.int64]:
        """The subject of each window, ``(n,)``."""
        return self.walk_subject[self.walk]

    def person_ids(self, windows: NDArray[np.int64]) -> NDArray[np.str_]:
        """The ID of each window's person, ``(len(windows),)``."""
        ids: NDArray[np.str_] = np.array(self.subject_ids)[self.subject[windows]]
        return ids

    def labels_of(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The class index of each window, ``(len(windows),)``."""
        label_index: NDArray[np.int64] = self.label_index[self.subject[windows]]
        return label_index

    def raw(self, windows: NDArray[np.int64]) -> Samples:
        """Windows as measured: ``(len(windows), window_samples, 6)`` float32, SI units."""
        places = self.start[windows][:, np.newaxis] + np.arange(self.window_samples)
        raw: Samples = self.samples[places]
        return raw

    def samples_of_subject(self, subject: int) -> Samples:
        """All samples of a person ``(n, 6)``, stretch after stretch."""
        own = np.flatnonzero(self.walk_subject[self.piece_walk] == subject)
        return np.concatenate([self.samples[self.piece_start[i] : self.piece_stop[i]] for i in own])

    def pieces_of_walk(self, walk: int) -> list[Samples]:
        """The stretches of a walk, each ``(n, 6)``."""
        own = np.flatnonzero(self.piece_walk == walk)
        return [self.samples[self.piece_start[i] : self.piece_stop[i]] for i in own]

    def save(self, folder: Path) -> None:
        """Write the store into a new folder."""
        folder.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        texts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _ARRAYS}
        (folder / "store.json").write_text(json.dumps(texts), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "WindowStore":
        """Map a store that `save` wrote."""
        texts = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        texts = {name: tuple(value) if isinstance(value, list) else value for name, value in texts.items()}
        return cls(**texts, **{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS})


def coefficients_of(raw: Samples, spec: SignalSpec) -> NDArray[np.float32]:
    """What the edge computes of each raw window: ``(n, window_samples, 6)`` to ``(n, n_coefficients, 6)`` float32."""
    scaled, _ = clean_and_scale(raw.reshape(-1, N_CHANNELS), spec)
    parts = pywt.wavedec(scaled.reshape(raw.shape), WAVELET, level=spec.wavelet_level, axis=1)
    return np.concatenate(parts, axis=1, dtype=np.float32)


def build_store(
    dataset: Dataset,
    signal: SignalConfig,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    for_training: bool = True,
) -> WindowStore:
    """Resample every walk and find its windows, as `edge.stream` does; judged ones where ``signal`` says so.

    `DatasetError` where a person has none; ``for_training`` also where all are of one class, or where two people have
    the very same recording, which might stand on both sides of a fold.
    """
    if for_training:
        _require_two_classes(dataset)
        _refuse_shared_recordings(dataset, signal.window_samples)
    samples: list[Samples] = []
    start: list[int] = []
    walk: list[int] = []
    pieces: list[tuple[int, int, int]] = []
    n_samples = 0
    walks: list[Walk] = []
    walk_subject: list[int] = []
    refused: Counter[str] = Counter()
    for subject_index, subject in enumerate(dataset.subjects):
        n_before = len(start)
        own_refused: Counter[str] = Counter()
        for item in subject.walks:
            found = cut(item.recording, signal)
            own_refused += found.refused
            if not found.pieces:
                continue  # nothing of this walk was walking of a sound signal
            for piece, firsts in zip(found.pieces, found.starts, strict=True):
                samples.append(piece)
                pieces.append((n_samples, n_samples + len(piece), len(walks)))
                start += (n_samples + firsts).tolist()
                walk += [len(walks)] * len(firsts)
                n_samples += len(piece)
            walks.append(item)
            walk_subject.append(subject_index)
        if len(start) == n_before:
            raise DatasetError(_without_window(subject, own_refused))
        refused += own_refused
        if progress is not None:
            progress(subject.id, subject_index + 1, len(dataset.subjects))
    places = np.array(pieces, np.int64)
    return WindowStore(
        labels=dataset.labels,
        subject_ids=tuple(subject.id for subject in dataset.subjects),
        walk_names=tuple(item.name for item in walks),
        walk_devices=tuple(item.device for item in walks),
        subject_traits=tuple(dict(subject.traits) for subject in dataset.subjects),
        gravity=dataset.gravity,
        rate_hz=signal.sample_rate_hz,
        window_samples=signal.window_samples,
        samples=np.concatenate(samples),
        start=np.array(start, np.int64),
        walk=np.array(walk, np.int64),
        piece_start=places[:, 0],
        piece_stop=places[:, 1],
        piece_walk=places[:, 2],
        walk_subject=np.array(walk_subject, np.int64),
        label_index=np.array([dataset.labels.index(subject.label) for subject in dataset.subjects], np.int64),
        refused=dict(refused.most_common()),
    )


def _without_window(subject: Subject, refused: Counter[str]) -> str:
    where = f"{subject.walks[0].recording.path}: not one window"
    if not refused:
        return f"{where}; leave {subject.id} out"
    reasons = ", ".join(f"{reason}: {n}" for reason, n in refused.most_common())
    return (
        f"{where} of {subject.id} that the edge would classify; all {sum(refused.values())} were refused ({reasons}): "
        f'leave {subject.id} out, or train on all windows (signal.windows = "all")'
    )


def _require_two_classes(dataset: Dataset) -> None:
    there = {subject.label for subject in dataset.subjects}
    if len(there) < 2:
        raise DatasetError(
            f"{dataset.register}: everybody with a recording is {', '.join(there)}; two classes or more are needed"
        )


def _refuse_shared_recordings(dataset: Dataset, n_samples: int) -> None:
    """Recordings shorter than a window may well be alike; nothing is learned of them."""
    owners: dict[bytes, tuple[str, Path]] = {}
    for subject in dataset.subjects:
        for item in subject.walks:
            recording = item.recording
            if len(recording.samples) < n_samples:
                continue
            digest = hashlib.sha256(recording.samples.tobytes()).digest()
            other, path = owners.setdefault(digest, (subject.id, recording.path))
            if other != subject.id:
                raise DatasetError(
                    f"{recording.path} of {subject.id} is sample for sample {path} of {other}: "
                    "one person would be trained on and tested; leave one of them out"
                )


def capped(store: WindowStore, subjects: NDArray[np.int64], windows_per_person: int) -> NDArray[np.int64]:
    """Window indices of these subjects, sorted; so many of each at most, spread over their walks; 0 is no cap."""
    owner = store.subject
    chosen = []
    for subject in subjects:
        own = np.flatnonzero(owner == subject)
        n_kept = min(windows_per_person or len(own), len(own))
        chosen.append(own[np.linspace(0, len(own) - 1, n_kept).round().astype(np.int64)])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
