"""What a class-incremental method is.

How to add a method
-------------------
Write one file with one class. In the folder ``methods`` beside this file, import it in
``__init__.py`` as well. Anywhere else, name it on the command line,
``--method package.module:Mine``, or give the class to `drrpack.train`::

    @dataclass(frozen=True)
    class MyOptions(MethodOptions):
        temperature: float = 2.0           # as in --set temperature=1.5

    @register                              # in the tree; not needed elsewhere
    class Mine(Method):
        name = "mine"                      # as in --method mine, and in result.json
        needs = frozenset({"replayed"})    # what it may look at, see `phase_data.Need`
        depends_on_history = False         # True if a phase uses anything of an earlier phase
        Options = MyOptions
        options: MyOptions

        def train_phase(self, context: PhaseContext) -> Classifier:
            return context.train(*context.replayed(context.seen))

        def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
            return dict(context.memory_bytes)

One object serves a whole run, so what goes from phase to phase (an old network, an `Exemplars`
buffer) is an attribute of it. Then leave ``depends_on_history`` as it is and return those
attributes from ``state_dict``: they go into the phase's checkpoint and come back through
``load_state_dict`` when an interrupted run goes on.

`PhaseContext` has all that a method may do: images, trainings (from another network, with another
loss, of some parameters, in a second stage), features, frozen copies, a nearest mean of exemplars.
docs/training.md shows them in use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from drrpack.core.errors import MethodError
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.phase_data import Need
from drrpack.trainers.incremental.trainings import Training, by_recipe
from drrpack.trainers.learning.classifier import Classifier

State = dict[str, Any]  # tensors, numbers, strings, None, and lists and dicts of them


class Method(ABC):
    """A way to train a classifier phase by phase; the docstring of this module explains it."""

    name: ClassVar[str]
    needs: ClassVar[frozenset[Need]]
    # False: a phase's classifier is a function of the set of classes seen, so runs that cut the
    # same classes into other phases can share it
    depends_on_history: ClassVar[bool] = True
    # raised by whoever changes what the method does: runs of before do not go on with it
    revision: ClassVar[int] = 0
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    options: MethodOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        self.options = self.Options() if options is None else options

    @abstractmethod
    def train_phase(self, context: PhaseContext) -> Classifier:
        """Train on the data of the phase; returns a classifier of all ``context.seen``."""

    @abstractmethod
    def memory_bytes(self, context: PhaseContext) -> Mapping[str, int]:
        """Bytes that the method keeps after this phase, by part; called after ``train_phase``."""

    def least(self, context: PhaseContext, label: int) -> tuple[Mapping[str, int], float] | None:
        """The least that the method can keep of a class.

        Returns the parts that it keeps in any case, and the bytes of one image; None if a budget
        does not apply to the method. It is called for each class in the phase that adds it, before
        any training, so that too small a budget is refused at once.
        """
        return None

    def trainings(self, context: PhaseContext) -> Sequence[Training]:
        """What `train_phase` will train, as far as that is known before the run: how long the run
        takes follows from it.

        It is called before any phase, and changes nothing. By default this is one training by the
        recipe, of the images that the method declares to need.
        """
        images = context.count(context.seen) if self.needs & {"replayed", "raw_seen"} else 0
        images += context.count(context.new) if "raw_new" in self.needs else 0
        if self.needs & {"ranked", "exemplars"}:
            images += context.count(context.old, context.exemplars_per_class)
        return [by_recipe(context, images)]

    def state_dict(self) -> State:
        """What the next phase needs: tensors, numbers, strings, lists and dicts of them only."""
        return {}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        """Restore the ``state_dict`` saved after the phase of ``context``.

        ``context`` can make a network to load weights into.
        """
        if state:
            raise MethodError(
                f"the method {self.name!r} keeps a state and can't restore it: found no "
                "load_state_dict beside its state_dict; write one"
            )
