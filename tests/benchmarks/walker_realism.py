"""How far are virtual walks from real ones? Real walks beside the checkout enter, a figure and a table leave.

Run as ``python -m tests.benchmarks.walker_realism``; writes ``docs/img/virtual_walker.png`` and prints the table that
``docs/virtual_walker.md`` quotes. Virtual walkers are those of the real register; nothing is tuned in here.
"""

import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from firmware_bridge.channels import ACC, CHANNELS, GYR, STANDARD_GRAVITY_M_S2
from firmware_bridge.walker import Figure, GaitParameters, walk
from tests.shared_data import SHARED_DATA

mpl.use("Agg")
from matplotlib import pyplot as plt

Array = NDArray[np.float64]
RATE_HZ = 100.0
WINDOW = 200
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk ``(n, 6)`` at `RATE_HZ`, SI units, the mean acceleration at rest taken off, as in Truong."""

    source: str
    person: str
    samples: Array


def to_rate(samples: Array, rate_hz: float) -> Array:
    """Averaged over the new sample's time (a plain anti-alias filter), then read off at `RATE_HZ`."""
    t = np.arange(len(samples)) / rate_hz
    area = np.vstack([np.zeros(6), np.cumsum(samples, axis=0)]) / rate_hz
    edges = np.arange(0, t[-1], 1 / RATE_HZ)
    at_edges = np.stack([np.interp(edges, np.append(t, t[-1] + 1 / rate_hz), area[:, c]) for c in range(6)], axis=1)
    averaged: Array = np.diff(at_edges, axis=0) * RATE_HZ
    return averaged


def aligned(samples: Array) -> Array:
    """Turned into the foot frame as far as a walk tells it: rest acceleration up, main rate axis y, swing toe up."""
    quiet = np.linalg.norm(samples[:, GYR], axis=1)
    rest = samples[quiet <= np.percentile(quiet, 15)][:, ACC].mean(axis=0)
    if np.linalg.norm(rest) > 0.5 * STANDARD_GRAVITY_M_S2:
        up = rest / np.linalg.norm(rest)
        east = np.cross([0.0, 1.0, 0.0], up)
        east /= np.linalg.norm(east)
        turn = np.array([east, np.cross(up, east), up])
        samples = np.hstack([samples[:, ACC] @ turn.T, samples[:, GYR] @ turn.T])
    level = samples[:, 3:5]
    _, directions = np.linalg.eigh(level.T @ level)
    x, y = directions[:, 1]
    # New y axis along (x, y), new x axis a quarter turn before it.
    turn = np.array([[y, -x, 0], [x, y, 0], [0, 0, 1]])
    samples = np.hstack([samples[:, ACC] @ turn.T, samples[:, GYR] @ turn.T])
    # Toe-down peaks are narrow and high: the cube of the rate sums up to their sign.
    if (samples[:, 4] ** 3).sum() < 0:
        samples = samples * [-1, -1, 1, -1, -1, 1]
    quiet = np.linalg.norm(samples[:, GYR], axis=1)
    rest = samples[quiet <= np.percentile(quiet, 15)][:, ACC].mean(axis=0)
    return np.asarray(samples - [*rest, 0, 0, 0])


def table(path: Path, columns: list[int], skip: int) -> Array:
    return np.asarray(np.genfromtxt(path, delimiter=",", skip_header=skip, usecols=columns))


def real_walks() -> Iterator[Walk]:
    """Truong (one trial a person, left foot, walking part) and the four feet of the gaitmap and xio walks."""
    degrees = [1, 1, 1, *[np.deg2rad(1)] * 3]
    folder = SHARED_DATA / "walks"
    for side, columns in (("left", [1, 3, 5, 7, 9, 11]), ("right", [2, 4, 6, 8, 10, 12])):
        samples = table(folder / "gaitmap" / "imu_sample.csv", columns, 2)
        yield Walk("gaitmap", f"gaitmap healthy {side}", aligned(to_rate(samples * degrees, 204.8)))
    samples = table(folder / "gaitmap" / "imu_sample_ms_left.csv", [2, 3, 4, 5, 6, 7], 1)
    yield Walk("gaitmap", "gaitmap ms", aligned(to_rate(samples * degrees, 102.4)))
    xio = table(folder / "xio" / "short_walk.csv", [0, 4, 5, 6, 1, 2, 3], 1)
    _, first = np.unique(xio[:, 0], return_index=True)
    even = np.arange(0, xio[-1, 0], 1 / 398)
    samples = np.stack([np.interp(even, xio[first, 0], xio[first, c]) for c in range(1, 7)], axis=1)
    samples *= [*[STANDARD_GRAVITY_M_S2] * 3, *[np.deg2rad(1)] * 3]
    yield Walk("xio", "xio", aligned(to_rate(samples, 398.0)))
    seen = set()
    signals = np.load(SHARED_DATA / "truong" / "signals.npz")
    with (SHARED_DATA / "truong" / "trials.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["subject"] in seen:
                continue
            seen.add(row["subject"])
            part = signals[row["trial"]][int(row["walk_start"]) : int(row["walk_end"]), :6].astype(float)
            samples = part * [*[STANDARD_GRAVITY_M_S2 / 1000] * 3, *[np.deg2rad(0.1)] * 3]
            yield Walk("truong " + row["sensor"], "truong " + row["subject"], aligned(samples))


def virtual_walks(n: int) -> Iterator[Walk]:
    """Half a minute of walking of every k-th person of the register, with the default sensor."""
    with (SHARED_DATA / "gstride" / "Database_register.csv").open(encoding="cp1252", newline="") as file:
        people = list(csv.reader(file, delimiter=";"))[3:]
    for index in np.linspace(0, len(people) - 1, n).round().astype(int):
        row = people[index]
        numbers = [
            float(cell.replace(",", ".")) for c in (34, 36, 38, 40, 42, 44, 46, 52, 58) for cell in (row[c], row[c + 1])
        ]
        gait = GaitParameters(*(Figure(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)))
        samples = walk(gait, duration_s=36, rate_hz=2 * RATE_HZ, seed=int(index), walkway_m=10)
        yield Walk("virtual", f"virtual {index}", aligned(to_rate(samples[round(14 * RATE_HZ) :].astype(float), 200.0)))


def spectrum(samples: Array) -> Array:
    """Mean power in each of 100 frequencies up to 50 Hz, ``(100, 6)``, by Hann windows of 2 s."""
    starts = range(0, len(samples) - WINDOW + 1, WINDOW // 2)
    taper = np.hanning(WINDOW)[:, None]
    powers = [np.abs(np.fft.rfft(samples[s : s + WINDOW] * taper, axis=0)[1:]) ** 2 for s in starts]
    return np.asarray(np.mean(powers, axis=0) * 2 / (RATE_HZ * (taper**2).sum()))


def stance_noise(samples: Array) -> tuple[float, float]:
    """Standard deviation in the calmest tenth of 0.1 s pieces: acceleration in m/s², rate in deg/s (one axis' mean)."""
    pieces = samples[: len(samples) // 10 * 10].reshape(-1, 10, 6)
    calm = pieces[np.argsort(np.linalg.norm(pieces[..., GYR], axis=2).mean(axis=1))[: max(3, len(pieces) // 10)]]
    deviation = calm.std(axis=1).mean(axis=0)
    return float(deviation[ACC].mean()), float(np.rad2deg(deviation[GYR].mean()))


def features(window: Array) -> Array:
    """Signs and sides left out: size, tails and roughness of each channel, and its power in six bands."""
    size = window.std(axis=0)
    parts = [size, np.percentile(np.abs(window), 95, axis=0), np.abs(window).max(axis=0)]
    parts.append(np.abs(np.diff(window, axis=0)).mean(axis=0))
    parts.append(np.percentile(np.abs(window), 20, axis=0))
    power = np.abs(np.fft.rfft(window - window.mean(axis=0), axis=0)) ** 2
    parts.extend(power[a:b].sum(axis=0) for a, b in ((1, 4), (4, 10), (10, 20), (20, 40), (40, 70), (70, 101)))
    return np.asarray(np.log(np.concatenate(parts) + 1e-6))


def report(walks: list[Walk]) -> None:
    groups = {"truong XSens": "C0", "truong TCon": "C1", "gaitmap": "C2", "xio": "C3", "virtual": "k"}
    figure, axes = plt.subplots(2, 3, figsize=(15, 8.5))
    print(f"{'source':14} {'n':>4} {'swing peak deg/s':>22} {'stance acc m/s²':>18} {'stance rate deg/s':>18}")
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)[1:]
    peaks, calm_acc, calm_rate = [], [], []
    for source, colour in groups.items():
        own = [w for w in walks if w.source == source]
        for axis, channels, title in (
            (axes[0, 0], ACC, "acceleration, (m/s²)²/Hz"),
            (axes[0, 1], GYR, "angular rate, (rad/s)²/Hz"),
        ):
            power = np.array([spectrum(w.samples)[:, channels].sum(axis=1) for w in own])
            axis.loglog(frequencies, np.median(power, axis=0), color=colour, label=f"{source} ({len(own)})")
            if source in ("virtual", "truong XSens"):
                axis.fill_between(frequencies, *np.percentile(power, [10, 90], axis=0), color=colour, alpha=0.15)
            axis.set(title=f"Power spectrum: {title}", xlabel="Hz")
        peaks.append([np.rad2deg(np.percentile(np.abs(w.samples[:, 4]), 99)) for w in own])
        noise = np.array([stance_noise(w.samples) for w in own])
        calm_acc.append(noise[:, 0])
        calm_rate.append(noise[:, 1])
        low, middle, high = np.percentile(peaks[-1], [10, 50, 90])
        print(
            f"{source:14} {len(own):4} {middle:8.0f} ({low:.0f} to {high:.0f}) "
            f"{np.median(noise[:, 0]):16.3f} {np.median(noise[:, 1]):18.2f}"
        )
    axes[0, 0].legend(fontsize=8)
    for axis, values, title in (
        (axes[1, 0], peaks, "99th percentile of |pitch rate|, deg/s"),
        (axes[1, 1], calm_acc, "Stance noise: acceleration, m/s²"),
        (axes[1, 2], calm_rate, "Stance noise: rate, deg/s"),
    ):
        axis.boxplot(values)
        axis.set_xticklabels(list(groups), fontsize=8)
        axis.set_title(title)
        if axis is not axes[1, 0]:
            axis.set_yscale("log")
    for source, person, shift in (("gaitmap", "gaitmap healthy left", 0), ("virtual", "virtual 0", -14)):
        samples = next(w.samples for w in walks if w.person == person)[800:1100]
        axes[0, 2].plot(np.arange(300) / RATE_HZ, np.rad2deg(samples[:, 4]) + 90 * shift, groups[source], label=person)
    axes[0, 2].legend(fontsize=8)
    axes[0, 2].set(title="Pitch rate, deg/s (virtual shifted down)", xlabel="s")
    figure.tight_layout()
    target = ROOT / "docs" / "img" / "virtual_walker.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=70)


def tell_apart(name: str, walks: list[Walk]) -> None:
    """AUROC of real against virtual windows, each person's windows predicted by a model that never met the person."""
    rows, labels, people = [], [], []
    for person, one in enumerate(walks):
        for start in range(0, len(one.samples) - WINDOW + 1, WINDOW):
            rows.append(features(one.samples[start : start + WINDOW]))
            labels.append(one.source == "virtual")
            people.append(person)
    table_, truth = np.array(rows), np.array(labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, class_weight="balanced"))
    score = cross_val_predict(model, table_, truth, groups=people, cv=GroupKFold(5), method="predict_proba")[:, 1]
    by_person = [(truth[np.equal(people, p)][0], score[np.equal(people, p)].mean()) for p in sorted(set(people))]
    known, mean = zip(*by_person, strict=True)
    print(
        f"{name}: AUROC {roc_auc_score(truth, score):.3f} by window ({len(truth)}), "
        f"{roc_auc_score(known, mean):.3f} by person ({len(known)})",
        flush=True,
    )
    strongest = sorted(
        ((abs(roc_auc_score(truth, column) - 0.5) + 0.5, i) for i, column in enumerate(table_.T)), reverse=True
    )[:6]
    kinds = ["std", "p95", "max", "step", "p20", "0.5-2Hz", "2-5Hz", "5-10Hz", "10-20Hz", "20-35Hz", "35-50Hz"]
    print("  strongest single features:", ", ".join(f"{CHANNELS[i % 6]} {kinds[i // 6]} {a:.2f}" for a, i in strongest))


def main() -> None:
    """Print the table and the figures of the classifiers, draw the picture."""
    real = list(real_walks())
    virtual = list(virtual_walks(100))
    report([*real, *virtual])
    tell_apart("all real", [*real, *virtual])
    for brand in ("XSens", "TCon"):
        tell_apart(f"truong {brand} only", [*(w for w in real if w.source == f"truong {brand}"), *virtual])
    tell_apart("gravity-carrying real only", [*(w for w in real if not w.source.startswith("truong")), *virtual])
    brands = [w if w.source == "truong XSens" else Walk("virtual", w.person, w.samples) for w in real]
    tell_apart("for scale, XSens against all other real", brands)
    gait = GaitParameters(*(Figure(m, 0.0) for m in (1.2, 11, 43, 18, 28, -50, 15, 0.9, 0.12)))
    began = time.process_time()
    walk(gait, duration_s=600, rate_hz=104, seed=0)
    print(f"speed: {600 / (time.process_time() - began):.0f} x real time at 104 Hz on one core")


if __name__ == "__main__":
    main()
