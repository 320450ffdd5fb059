"""What code does in a process of its own, such as which modules it imports."""

import subprocess
import sys


def printed(code):
    """What the code prints; CalledProcessError if it fails."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def imported(code):
    """The modules that are loaded after the code; SystemExit ends it as its last line would."""
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    whole = f"import sys\ntry:\n{lines}except SystemExit:\n    pass\nprint('IMPORTED', *sys.modules)"
    return set(printed(whole).rsplit("IMPORTED", 1)[1].split())
