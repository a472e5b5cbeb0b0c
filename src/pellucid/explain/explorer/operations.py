"""What can be asked under /api: every request's path, its fields, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pellucid.explain.explorer.fields import Field, Flag, Many, Number, Object, Packed, Text, Whole
from pellucid.explain.explorer.model import describe
from pellucid.explain.explorer.pictures import from_drawing, from_file
from pellucid.explain.explorer.session import Session
from pellucid.explain.explorer.subject import Subject
from pellucid.optimizers import OPTIMIZERS

#: bytes of a drawing or an image file
_PICTURE = 10_000_000
#: places in a data set, an array or a batch, at most
_PLACES = 2**31 - 1

_SPLIT = Text(("test", "train"))
_INDEX = Many(Whole(0, _PLACES), 0, 6, default=[])


@dataclass(frozen=True)
class Operation:
    """A request that is answered with JSON from a session.

    Attributes:
        method, path: as in HTTP; the path without ``/api``.
        summary: what it does, for the OpenAPI description.
        run: does it; is given the session, and the fields by name.
        fields: of the query if the method is GET, else of the JSON body.
        takes_bytes: the body is a file, given to ``run`` as ``data``, and the fields are those of the query.
    """

    method: str
    path: str
    summary: str
    run: Callable[..., dict[str, Any]]
    fields: Mapping[str, Field] = field(default_factory=dict[str, Field])
    takes_bytes: bool = False

    @property
    def given(self) -> Object:
        """All fields as one."""
        return Object(self.fields)


def operations(subject: Subject) -> list[Operation]:
    """Return what can be asked about a subject."""
    shape, described = subject.network.input_shape, describe(subject)

    def model(session: Session) -> dict[str, Any]:
        return described

    def draw(session: Session, width: int, height: int, channels: int, data: bytes) -> dict[str, Any]:
        return session.show(from_drawing(width, height, channels, data, shape, subject.ink), "drawing")

    def picture(session: Session, data: bytes) -> dict[str, Any]:
        return session.show(from_file(data, shape), "image")

    wanted = Object(
        {
            "what": Text(("value", "delta", "parameter", "gradient")),
            "name": Text(),
            "channels": Many(Whole(0, _PLACES), 2, 2, default=None),
            "sample": Whole(0, 31, default=0),
        }
    )
    return [
        Operation("GET", "/model", "The network: graph, settings, shapes, formulas", model),
        Operation("GET", "/state", "The sample, the loss and the prediction", Session.state),
        Operation(
            "POST",
            "/sample",
            "Look at a sample of the data set",
            Session.choose,
            {"split": _SPLIT, "index": Whole(0, _PLACES)},
        ),
        Operation(
            "POST", "/label", "Take another class for the true one", Session.label, {"label": Whole(0, 1_000_000)}
        ),
        Operation(
            "POST",
            "/drawing",
            "Look at a drawing",
            draw,
            {
                "width": Whole(1, 4096),
                "height": Whole(1, 4096),
                "channels": Whole(1, 3),
                "data": Packed(_PICTURE),
            },
        ),
        Operation("POST", "/image", "Look at an image file, which is the body", picture, takes_bytes=True),
        Operation(
            "POST",
            "/mode",
            "Trace as while training, or as while predicting",
            Session.mode,
            {"training": Flag(), "batch": Whole(1, 32, default=1)},
        ),
        Operation(
            "GET",
            "/gallery",
            "Small pictures of the data set, and their labels",
            Session.gallery,
            {"split": _SPLIT, "start": Whole(0, _PLACES, default=0), "count": Whole(1, 96, default=24)},
        ),
        Operation(
            "POST",
            "/tensors",
            "Values, δ, parameters and gradients as packed arrays",
            Session.tensors,
            {"tensors": Many(wanted, 0, 64)},
        ),
        Operation(
            "GET",
            "/cell",
            "Where one number comes from",
            Session.cell,
            {
                "node": Text(),
                "what": Text(default="value"),
                "index": _INDEX,
                "sample": Whole(0, 31, default=0),
            },
        ),
        Operation(
            "POST",
            "/nudge",
            "The loss over a range of one entry, and its finite difference",
            Session.nudge,
            {
                "tensor": Text(),
                "index": _INDEX,
                "span": Number(0, 1e6, default=1.0),
                "points": Whole(3, 101, default=21),
            },
        ),
        Operation("GET", "/train", "The training so far", Session.progress, {"since": Whole(0, _PLACES, default=0)}),
        Operation(
            "POST",
            "/train/run",
            "Train on",
            Session.run,
            {
                "steps": Whole(1, 1_000_000, default=None),
                "learning_rate": Number(0, 1000, default=0.1),
                "batch_size": Whole(1, 1024, default=32),
                "optimizer": Text(tuple(OPTIMIZERS), default="sgd"),
            },
        ),
        Operation("POST", "/train/pause", "Pause the training", Session.pause),
        Operation("POST", "/train/reset", "Go back to the parameters at the beginning", Session.reset),
    ]
