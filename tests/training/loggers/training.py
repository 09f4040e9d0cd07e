"""Small trainings with loggers."""

from cnncli.training.events import Ended, Notice, RunBegins
from cnncli.training.loggers.listening import logged
from cnncli.training.loggers.vocabulary import LOGGERS
from tests.training import small


def train(plan, loggers, folder=None, *, resume=None, on_event=lambda event: None):
    """Train a plan with loggers, given as in a spec; return its events."""
    events = []

    def hear(event):
        events.append(event)
        on_event(event)

    with logged([LOGGERS.parse(logger) for logger in loggers], hear) as listen:
        done = small.run(plan, folder, resume=resume, report=listen)
        listen(Ended(done.run, done.epoch, done.digest, done.test, plan.data))
    return events


def begins(run, history=(), step=0):
    """The event with which a run in a folder begins, without anything of a network."""
    return RunBegins("small", run, {}, small.model(), step, tuple(history), None)


def warnings(events):
    """The texts of the warnings among events."""
    return [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]
