"""Loops are compiled for the same instructions on every processor that has them."""

import os
import subprocess
import sys

import pytest

CODE = """if True:
    import platform
    from llvmlite import binding

    platform.machine = lambda: MACHINE
    binding.get_host_cpu_features = lambda: dict.fromkeys(FEATURES, True)
    binding.get_host_cpu_name = lambda: "sapphirerapids"
    import numba
    import bet.compiled

    print(numba.config.CPU_NAME, repr(numba.config.CPU_FEATURES))"""
V3 = ["avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"]


@pytest.mark.parametrize(
    ("machine", "features", "chosen", "target"),
    [
        ("x86_64", [*V3, "avx512f"], None, "x86-64-v3 ''"),
        ("AMD64", V3, None, "x86-64-v3 ''"),
        ("x86_64", V3[1:], None, "None None"),
        ("aarch64", V3, None, "None None"),
        ("x86_64", V3, "haswell", "haswell None"),
    ],
)
def test_wider_registers_do_not_change_the_instructions(machine, features, chosen, target):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CPU")}
    if chosen:
        environment["NUMBA_CPU_NAME"] = chosen
    run = subprocess.run(
        [sys.executable, "-c", f"MACHINE, FEATURES = {machine!r}, {features!r}\n{CODE}"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert run.stdout.strip() == target, run.stderr
