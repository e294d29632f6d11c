"""`frailedge doctor`: looks at everything a live run needs and says, a line each, what is right and what is not.

A configuration file's path and the machine's files enter; findings leave. It repairs nothing, connects to no sensor,
and never calls good what it could not look at: that is a warning. A check that finds no fault with the machine but has
one itself is a bug, and shows its traceback.
"""

import asyncio
from pathlib import Path

from edge.ble.bluez import BluezState, bluez_state
from edge.config import Config, load_config
from edge.doctor.finding import Finding, Level
from edge.doctor.machine import check_clock, check_disk, check_rfkill, check_shared_chip
from edge.doctor.main_conf import check_main_conf
from edge.doctor.program import check_configuration, check_model, check_ports
from edge.doctor.radio import NOT_BLUEZ, adapter_in_use, check_adapter, check_permission, check_transport, check_version
from edge.errors import ConfigError, RadioError


def examine(config_path: Path | None, *, root: Path = Path("/")) -> list[Finding]:
    """Every check, in the order in which a run needs things; ``root`` holds the machine's ``etc``, ``proc``, ``sys``.

    A configuration that cannot be read is a finding too; the other checks then go by the defaults.
    """
    findings = []
    config = Config()
    try:
        config = load_config(config_path)
    except ConfigError as error:
        findings.append(Finding("configuration", Level.FAILURE, str(error), "the checks below go by the defaults"))
    else:
        findings.append(check_configuration(config, config_path))
    findings += _radio(config, root)
    findings += [
        check_model(config),
        check_clock(root),
        check_disk(config),
        check_ports(config.publish.endpoint),
    ]
    return findings


def _radio(config: Config, root: Path) -> list[Finding]:
    if config.ble.backend != "bluez":
        words = f"does not apply: ble.backend is {config.ble.backend}, without BlueZ"
        return [check_transport(config.ble.backend), *(Finding(name, Level.OK, words) for name in NOT_BLUEZ)]
    state: BluezState | RadioError
    try:
        state = asyncio.run(bluez_state())
    except RadioError as error:
        state = error
    adapter = adapter_in_use(state, config.ble.adapter, root)
    return [
        check_version(state),
        check_permission(state),
        check_adapter(state, config.ble.adapter, root),
        check_rfkill(adapter, root),
        check_main_conf(root),
        check_shared_chip(adapter, root),
    ]
