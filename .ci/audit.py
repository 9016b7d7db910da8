"""Whether a package of the locks has a known vulnerability, as pip-audit says: audit.py.

Fails if one has. Where pip-audit or its advisory data cannot be had, it says so and passes: that is
no fault of the change that is tested.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "audit"
LOCKS = ("lock", "torch", "spark")


def audit(python: str, lock: str) -> tuple[str, bool]:
    """What to say of ``requirements/<lock>.txt``, and whether a vulnerability is known."""
    command = [python, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", "-r", f"requirements/{lock}.txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
        return f"not audited: {reason}", False
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return "not audited: no advisory data can be had here", False
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}"
        for package in known
        for flaw in package["vulns"]
    ]
    text = f"{len(known)} of {len(packages)} packages audited, {len(found)} vulnerabilities"
    return "\n  ".join([text, *found]), bool(found)


def main() -> int:
    """Audit every lock; 1 when a vulnerability is known."""
    venv.create(FOLDER, clear=True, with_pip=True)
    python = str(FOLDER / "bin" / "python")
    install = [python, "-m", "pip", "install", "-qq", "--require-hashes", "-r"]
    install += ["requirements/audit.txt"]
    done = subprocess.run(install, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        print(f"audit: not done, pip-audit cannot be installed here: {reason}")
        return 0
    flawed = False
    for lock in LOCKS:
        text, found = audit(python, lock)
        print(f"audit: requirements/{lock}.txt: {text}", flush=True)
        flawed |= found
    return int(flawed)


if __name__ == "__main__":
    sys.exit(main())
