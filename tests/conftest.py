from __future__ import annotations

import signal

# A shell that runs the tests in the background makes them ignore Ctrl-C, and their subprocesses with them; several
# tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
