"""A person's gait figures as a file of a walker, as those of `configs/walkers` were made."""

from dataclasses import fields

from edge.sources.register import Person
from firmware_bridge.gait import GaitParameters


def write_walker_toml(person: Person) -> str:
    """The text of a file for `edge.sources.walkers.read_walker` with this person's gait figures."""
    if person.gait is None:
        raise ValueError(f"{person.id} has no gait figures")
    lines = [
        f"# A synthetic twin of {person.id} of the GSTRIDE database: gait figures of its register, no recording.",
        f"# Of the {person.label} people with a recording, the nearest the class median (trainer.demo.demo_pair).",
        "# Derived from García-de-Villa et al., Sci. Data 10:566 (2023), doi 10.1038/s41597-023-02428-0, CC BY 4.0.",
        f'label = "{person.label}"',
        "",
        "[gait]",
    ]
    for item in fields(GaitParameters):
        figure = getattr(person.gait, item.name)
        lines.append(f"{item.name} = {{ mean = {figure.mean:g}, std = {figure.std:g} }}")
    return "\n".join(lines) + "\n"
