"""Run a command that ends when the process that started it ends.

    python -m tljh.attached COMMAND…

systemd ends all that a service has started; here a hub that is stopped while it starts would leave
its own services behind, with their ports.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(sys.argv[1], sys.argv[1:])
