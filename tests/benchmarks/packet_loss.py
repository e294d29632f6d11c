"""What packet loss costs a decision: the same walks with 0, 1, 5 and 20 % of their packets lost, one `Pipeline` each.

Run as ``python -m tests.benchmarks.packet_loss [--workers 2]``; prints the tables that ``docs/results.md`` quotes.
Three tasks, as a model that is wrong anyway shows little: a tiny network, trained here, on people whom it tells with
certainty; the same on people between the classes; the default bundle (variant dynamic) on twins of the real register.

Abstention is counted against time: each window of the lossless run is a decision that could have been made, and one
that never came to be because of a gap is an abstention like one that was refused.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.config import ModelConfig
from edge.messages import Decision, Message
from edge.model import Classifier
from edge.opening import open_model
from edge.pipeline import Pipeline
from edge.sources.register import LABELS, Person, read_register
from edge.stream.screen import Mounting, ScreenSpec
from firmware_bridge.channels import Samples
from firmware_bridge.gait import Figure
from tests.edge.cli.run import frailedge
from tests.edge.cli.test_training import CONFIG, people_that_differ
from tests.shared_data import SHARED_DATA
from trainer.evaluate import Interval, draw_people, interval_of
from trainer.register_file import write_register
from trainer.twins import RATE_HZ, make_twins, walk_of

PACKET_SAMPLES: Final = 4  # as packet v1 sends them
BURST_PACKETS: Final = 10
"""0.4 s: a foot behind a body."""
_PUSHED_PACKETS: Final = 26
N_EASY, N_TWINS, MINUTES = 12, 24, 3.0


@dataclass(frozen=True, slots=True)
class Condition:
    """``loss`` is the share of all packets that get lost, ``burst_packets`` of them in a row.

    ``late_samples`` are left out at the beginning: windows then lie elsewhere, as they do after every gap.
    """

    loss: float
    burst_packets: int = 1
    late_samples: int = 0

    def kept(self, n_packets: int, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Which packets arrive, ``(n_packets,)``."""
        # A chance a packet that a burst begins: in a burst no other begins.
        chance = self.loss / (self.burst_packets * (1 - self.loss) + self.loss)
        kept = np.ones(n_packets, dtype=np.bool_)
        at = 0
        for gap in generator.geometric(chance, size=n_packets) - 1 if chance else ():
            at += int(gap)
            kept[at : at + self.burst_packets] = False
            at += self.burst_packets
        return kept

    def __str__(self) -> str:
        if not self.loss:
            return "0 %, begun half a hop later" if self.late_samples else "0 %"
        return f"{100 * self.loss:.0f} % {'single' if self.burst_packets == 1 else f'bursts of {self.burst_packets}'}"


NONE: Final = Condition(0.0)
LATE: Final = Condition(0.0, late_samples=25)
"""How much figures change where nothing is lost: the measure of all other differences."""
LOSSES: Final = tuple(Condition(loss, burst) for loss in (0.01, 0.05, 0.2) for burst in (1, BURST_PACKETS))
CONDITIONS: Final = (NONE, LATE, *LOSSES)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One walk under one condition.

    ``n_made`` windows led to a decision message, ``n_told`` of these named a class, ``n_wrong`` another than the
    walker's; ``reasons`` counts the others, those refused for gaps too.
    """

    n_made: int
    n_told: int
    n_wrong: int
    reasons: Counter[str]


def received(n_samples: int, condition: Condition, seed: Sequence[int]) -> Iterable[NDArray[np.int64]]:
    """Indices of the samples that arrive, in pieces of a second or so."""
    n_packets = n_samples // PACKET_SAMPLES
    kept = np.repeat(condition.kept(n_packets, np.random.default_rng(seed)), PACKET_SAMPLES)
    kept[: condition.late_samples] = False
    step = _PUSHED_PACKETS * PACKET_SAMPLES
    for first in range(0, len(kept), step):
        yield first + np.flatnonzero(kept[first : first + step])


def decisions_of(
    person: Person,
    samples: Samples,
    rate_hz: float,
    condition: Condition,
    model: ModelConfig,
    *,
    mounting: Mounting = "correct",
) -> list[Decision]:
    """What the pipeline decides on a walk ``(n, 6)`` that came through this condition."""
    bundle, classifier = _opened(model)
    messages: list[Message] = []
    pipeline = Pipeline(
        bundle.manifest,
        classifier,
        sensor=person.id,
        rate_in_hz=rate_hz,
        sink=messages.append,
        model_sha256=bundle.variant.sha256,
        screen=ScreenSpec(mounting=mounting),
    )
    seed = [1, int(person.id[1:]), round(1000 * condition.loss), condition.burst_packets]
    for index in received(len(samples), condition, seed):
        pipeline.push(np.rint(index * 1e9 / rate_hz).astype(np.int64), samples[index], 0)
    pipeline.finish()
    return [message for message in messages if isinstance(message, Decision)]


@cache
def _opened(model: ModelConfig) -> tuple[Bundle, Classifier]:
    return open_model(model)


def outcome(person: Person, decisions: Sequence[Decision]) -> Outcome:
    """The decisions counted."""
    told = [decision for decision in decisions if decision.label is not None]
    return Outcome(
        len(decisions),
        len(told),
        sum(decision.label != person.label for decision in told),
        Counter(decision.reason for decision in decisions if decision.label is None),
    )


def outcomes_of(person: Person, minutes: float, model: ModelConfig) -> list[Outcome]:
    """The same walk of a person, one that no training has seen, under each of `CONDITIONS`."""
    rate_hz = RATE_HZ[person.device]
    samples = walk_of(person, duration_s=60 * minutes, rate_hz=rate_hz, seed=7001).astype(np.float32)
    return [outcome(person, decisions_of(person, samples, rate_hz, each, model)) for each in CONDITIONS]


def wrong_difference(truth: Sequence[str], wrong: NDArray[np.float64], lossless: NDArray[np.float64]) -> Interval:
    """Mean over people of their wrong share minus their lossless one, ``(n_people,)`` each, nan where none was told.

    The interval draws people, within their class.
    """
    has_both = np.isfinite(wrong) & np.isfinite(lossless)
    difference = (wrong - lossless)[has_both]
    weights = draw_people(np.unique(truth, return_inverse=True)[1][has_both])
    return interval_of(float(difference.mean()), weights @ difference / len(difference))


def table(people: Sequence[Person], by_person: Sequence[Sequence[Outcome]]) -> str:
    """A Markdown table, a line for each of `CONDITIONS`."""
    could = sum(own[0].n_made for own in by_person)
    lossless = _wrong_shares([own[0] for own in by_person])
    lines = [
        "| packets lost | decisions that could be made | none, or refused, for gaps | refused otherwise "
        "| too few windows | low confidence | abstained | class told | people told one "
        "| wrong of those told, mean over people | against 0 % (95 %) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for at, condition in enumerate(CONDITIONS):
        outcomes = [own[at] for own in by_person]
        reasons = sum((each.reasons for each in outcomes), Counter[str]())
        told, made = (sum(getattr(each, name) for each in outcomes) for name in ("n_told", "n_made"))
        few, low = reasons.pop("too few windows", 0), reasons.pop("low confidence", 0)
        gaps = could - made + reasons.pop("gaps", 0)  # a long gap lets no window come about, short ones refuse it
        wrong = _wrong_shares(outcomes)
        change = "" if at == 0 else _told_interval(wrong_difference([p.label for p in people], wrong, lossless))
        lines.append(
            f"| {condition} | {could} | {gaps} | {reasons.total()} | {few} | {low} | {1 - told / could:.1%} "
            f"| {told} | {np.count_nonzero(np.isfinite(wrong))} of {len(people)} | {np.nanmean(wrong):.1%} | {change} |"
        )
    return "\n".join(lines)


def _wrong_shares(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    return np.array([each.n_wrong / each.n_told if each.n_told else np.nan for each in outcomes])


def _told_interval(interval: Interval) -> str:
    return f"{100 * interval.value:+.1f} ({100 * interval.lower:+.1f} to {100 * interval.upper:+.1f})"


def people_between(n_people: int, seed: int) -> list[Person]:
    """People anywhere between the classes of `people_that_differ`, with the label of the nearest."""
    pure = {person.label: person for person in people_that_differ(3)}
    steps = [pure[label] for label in LABELS]
    generator = np.random.default_rng(seed)
    people: list[Person] = []
    for number in range(1, n_people + 1):
        own = number % len(steps)
        at = float(np.clip(own + generator.uniform(-0.5, 0.5), 0, len(steps) - 1))
        left = min(int(at), len(steps) - 2)
        one, other = steps[left].gait, steps[left + 1].gait
        assert one is not None
        assert other is not None
        gait = replace(
            one,
            **{
                name: Figure(
                    (1 - at + left) * getattr(one, name).mean + (at - left) * getattr(other, name).mean,
                    getattr(one, name).std,
                )
                for name in ("stride_length_m", "stride_time_s", "toe_off_angle_deg")
            },
        )
        device = ("CSIC", "Gaitup")[number // 3 % 2]
        people.append(replace(steps[own], id=f"V{number:03d}", device=device, gait=gait))
    return people


def twins_of_register(n_people: int) -> list[Person]:
    """Twins of the register's people, the classes in turn while they last."""
    people, _ = make_twins(read_register(SHARED_DATA / "gstride" / "Database_register.csv"))
    by_label = {label: [person for person in people if person.label == label] for label in LABELS}
    order = sorted(people, key=lambda person: by_label[person.label].index(person))
    return order[:n_people]


def easy_bundle(folder: Path) -> Path:
    """A bundle that tells `people_that_differ` with certainty, trained in a minute by the command line."""
    write_register(folder / "Database_register.csv", people_that_differ(60))
    (folder / "small.toml").write_text(CONFIG.format(test_share=0.4, n_epochs=4), encoding="utf-8")
    twins = ("twins", folder / "twins", "--register", folder / "Database_register.csv", "--minutes", "1", "--seed", "3")
    train = ("train", folder / "twins", "--config", folder / "small.toml", "--no-protocols", "--out", folder / "run")
    for arguments in (twins, train):
        done = frailedge(*arguments, timeout_s=600)
        if done.returncode:
            raise RuntimeError(done.stderr)
    return folder / "run" / "bundle"


def run(people: Sequence[Person], minutes: float, model: ModelConfig, workers: int) -> str:
    """The table of one task."""
    # Spawned, not forked: the runtime may have threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(outcomes_of, person, minutes, model) for person in people]
        return table(people, [job.result() for job in jobs])


def main() -> None:
    """Print a table a task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--people", type=int, default=N_TWINS, help="of each task at most so many")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--bundle", type=Path, help="an easy bundle trained before")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        easy = ModelConfig(bundle=str(given.bundle or easy_bundle(Path(folder))))
        tasks = (
            ("easy network, people that differ", people_that_differ(N_EASY), easy),
            ("easy network, people between the classes", people_between(N_EASY, seed=1), easy),
            (
                "default bundle, twins of the register",
                twins_of_register(N_TWINS),
                ModelConfig(variant="dynamic"),
            ),
        )
        for name, everybody, model in tasks:
            people = everybody[: given.people]
            print(f"{name}: {len(people)} people, {given.minutes:g} minutes each\n", flush=True)
            print(run(people, given.minutes, model, given.workers), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
