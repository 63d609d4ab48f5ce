"""What an endpoint serves, and to whom."""

from dataclasses import dataclass, field

from ded_ray.recipe import Chat, TransformersEngine, VllmEngine


@dataclass(frozen=True)
class ServedModel:
    """A model and the name that clients know it by. `model` is a hub name, a folder or tiny/NAME; `chat` says how their
    messages are rendered, `engine` by which form they are answered."""

    name: str
    model: str
    chat: Chat = field(default_factory=Chat)
    engine: TransformersEngine | VllmEngine = field(default_factory=TransformersEngine)


@dataclass(frozen=True)
class Access:
    """Where an endpoint listens, and what it wants to be shown."""

    host: str
    port: int  # 0: a free one
    token: str = ""  # "": none is wanted
    route: str = ""  # a prefix such as '/mine', which keeps endpoints of one cluster apart; '' is the root

    @property
    def is_local(self) -> bool:
        return self.host in {"127.0.0.1", "localhost", "::1"}


LOCAL = Access("127.0.0.1", 0)
"""For this machine alone, without a token."""

ANY_NUMBER = 100_000
"""Of requests that Ray Serve lets into a replica which speaks HTTP: it says itself what is too much."""
