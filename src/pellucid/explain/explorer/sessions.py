"""The sessions there are, by id."""

from __future__ import annotations

import secrets
from threading import Lock
from time import monotonic

from pellucid.explain.explorer.session import Session
from pellucid.explain.explorer.subject import Subject

#: sessions at once, and bytes that their networks and traces may come to
_MOST, _BYTES = 16, 2**31


class Sessions:
    """Sessions by id; the one that was not asked for longest gives way when there are too many.

    Args:
        subject: what every session begins with.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject, self._lock = subject, Lock()
        self._sessions: dict[str, Session] = {}
        self.most = max(2, min(_MOST, _BYTES // max(subject.session_bytes, 1)))

    def open(self) -> str:
        """Make a session; return its id, which nobody can guess."""
        session, name = Session(self._subject), secrets.token_urlsafe(24)
        with self._lock:
            self._sessions[name] = session
            gone = sorted(self._sessions, key=lambda known: self._sessions[known].seen)[: -self.most]
            closed = [self._sessions.pop(known) for known in gone]
        for old in closed:
            old.close()
        return name

    def close(self) -> None:
        """End every session."""
        with self._lock:
            closed, self._sessions = list(self._sessions.values()), {}
        for session in closed:
            session.close()

    def find(self, name: str) -> Session | None:
        """Return a session; None if there is none of that id."""
        with self._lock:
            session = self._sessions.get(name)
            if session is not None:
                session.seen = monotonic()
            return session
