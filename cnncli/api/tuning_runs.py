"""What finished runs tell a search: those whose specs differ from the search's only in its parameters."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cnncli.api.specs import settings
from cnncli.api.tuning import Tuning, values_of
from cnncli.errors import CnncliError
from cnncli.layers.declarations.declaration import snake_case
from cnncli.spec.spec import load
from cnncli.training.runs import past_runs
from cnncli.training.runs.facts import facts
from cnncli.training.search.space import Choice, Parameter

MISSING: Any = object()
IGNORED = ("name", "expect")
"""Keys of a spec that have no effect on a run's figures."""


def add_runs(tuning: Tuning, study: Any) -> int:
    """Add finished runs as complete trials, equal ones once; how many were added."""
    from cnncli.training.search.study import RUN, add_known

    trials = study.get_trials(deepcopy=False)
    before = {trial.user_attrs.get(RUN) for trial in trials}
    known = [(trial.params, trial.values) for trial in trials]
    count = 0
    for run in past_runs.all_runs():
        if str(run) not in before:
            with suppress(CnncliError):
                params, values = _read(tuning, run)
                found = {parameter.name: value for parameter, value in params.items()}, values
                if found not in known:
                    known.append(found)
                    add_known(study, params, values, str(run))
                    count += 1
    return count


def _read(tuning: Tuning, run: Path) -> tuple[dict[Parameter, Any], list[float]]:
    """The parameters and values of a run. Raises CnncliError if it is not one of the search's."""
    known = facts(run)
    if known["state"] != "finished":
        raise CnncliError("not finished")
    theirs = load(run / past_runs.SPEC, check_data=False)
    params = dict(_params(tuning, tuning.search.parameters, theirs.resolved()))
    same = tuning.trial_spec({parameter.name: value for parameter, value in params.items()})
    if _compared(same.resolved()) != _compared(theirs.resolved()):
        raise CnncliError("another spec")
    return params, values_of(tuning.search.metrics, known["figures"], past_runs.history(run), theirs)


def _compared(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal: all but names, and how the data are found."""
    kept = {key: value for key, value in resolved.items() if key not in IGNORED}
    data = {key: value for key, value in kept["data"].items() if key != "dataset"}
    return {**kept, "data": {**data, "dataset": Path(str(resolved["data"]["dataset"])).name}}


def _params(
    tuning: Tuning, parameters: Sequence[Parameter], resolved: Mapping[str, Any]
) -> Iterator[tuple[Parameter, Any]]:
    """The parameters with their values in a resolved spec. Raises CnncliError for a value that none of them takes."""
    from cnncli.training.search.study import fits

    for parameter in parameters:
        found = value_at(resolved, parameter.path)
        if isinstance(parameter, Choice):
            option = next(
                (one for one in parameter.options if _value(tuning, parameter.path, one.value) == found), None
            )
            if option is None:
                raise CnncliError("another value")
            yield parameter, option.label
            yield from _params(tuning, option.parameters, resolved)
        elif fits(parameter, found):
            yield parameter, found
        else:
            raise CnncliError("another value")


def _value(tuning: Tuning, path: str, value: Any) -> Any:
    """How a resolved spec writes a value at a path."""
    with suppress(CnncliError):
        return value_at(load(tuning.source, [*tuning.overrides, *settings({path: value})]).resolved(), path)
    return MISSING


def value_at(tree: Any, path: str) -> Any:
    """The value at a dotted path, as `--set` has it, of a resolved spec; MISSING if there is none."""
    for part in path.split("."):
        tree = _step(tree, part)
    return tree


def _step(tree: Any, part: str) -> Any:
    """The value of a key; of the item of a list; of an argument of a declaration, whose name may be left out."""
    if isinstance(tree, list):
        if part.isdecimal() and int(part) < len(tree):
            return tree[int(part)]
        return next((item for item in tree if part in _names(item)), MISSING)
    if not isinstance(tree, dict):
        return MISSING
    if part in tree:
        return tree[part]
    inner = next(iter(tree.values())) if len(tree) == 1 else None
    if part == snake_case(next(iter(tree), "")):
        return inner
    return inner.get(part, MISSING) if isinstance(inner, dict) else MISSING


def _names(item: Any) -> list[str]:
    """What an item of a list is called: its class, and its name if it is a layer."""
    if not isinstance(item, dict) or len(item) != 1:
        return [str(item)]
    ((kind, arguments),) = item.items()
    own = [arguments["name"]] if isinstance(arguments, dict) and "name" in arguments else []
    return [*own, kind, snake_case(kind)]
