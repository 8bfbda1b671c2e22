"""Whether the process that left a file behind still lives."""

import os


def alive(pid):
    """Whether a process of this number runs on this machine; yes where that cannot be asked."""
    if os.name == "nt" or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
