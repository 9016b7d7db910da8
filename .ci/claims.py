"""``make check-claims``: the quick rows of docs/claims.md, in a folder of their own."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NUMBER = r"\d*\.?\d+"


@dataclass(frozen=True)
class Claim:
    """A row; ``value`` is the name that stands before the number in what the command prints, or
    after a whole number ("59 of 59 runs equal"); None: only the exit status counts.
    """

    text: str
    command: str
    value: str | None
    expected: float
    tolerance: float
    quick: bool


def read_claims(text: str) -> list[Claim]:
    """The rows of the table in ``text``."""
    claims = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[-1] in ("yes", "no"):
            claim, command, value, expected, tolerance, *_, quick = cells
            numbers = float(expected or 0), float(tolerance or 0)
            claims.append(Claim(claim, command.strip("`"), value or None, *numbers, quick == "yes"))
    return claims


def check(claim: Claim, output: str, status: int) -> str | None:
    """What is wrong; None where the claim holds.

    >>> claim = Claim("a", "b", "ndcg@20", 0.41, 0.002, True)
    >>> check(claim, "  test  recall@20 0.3068  ndcg@20 0.4088", 0)
    >>> check(claim, "  test  recall@20 0.3068  ndcg@20 0.4123", 0)
    'ndcg@20 is 0.4123, expected 0.41 within 0.002'
    """
    if status:
        return f"the command ended with status {status}: {output.strip()[-300:]}"
    if claim.value is None:
        return None
    name = re.escape(claim.value)
    found = re.findall(rf"{name} ({NUMBER})|({NUMBER}) (?:of \d+ )?{name}", output)
    if not found:
        return f"no {claim.value} in what the command printed"
    value = float("".join(found[-1]))
    if abs(value - claim.expected) <= claim.tolerance + 1e-9:
        return None
    return f"{claim.value} is {value:g}, expected {claim.expected:g} within {claim.tolerance:g}"


def main() -> int:
    """Run the quick claims; 1 where one fails."""
    claims = read_claims((ROOT / "docs/claims.md").read_text(encoding="utf-8"))
    quick = [claim for claim in claims if claim.quick]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PATH": programs, "BET_RESULTS": folder}
        for number, claim in enumerate(quick, 1):
            print(f"[{number} of {len(quick)}] {claim.text}: {claim.command}", flush=True)
            done = subprocess.run(
                claim.command,
                shell=True,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            wrong = check(claim, done.stdout, done.returncode)
            failed += wrong is not None
            print(f"  {'holds' if wrong is None else f'FAILED: {wrong}'}", flush=True)
    slow = len(claims) - len(quick)
    print(
        f"make check-claims: {len(quick) - failed} of {len(quick)} hold; {slow} slow ones not run"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
