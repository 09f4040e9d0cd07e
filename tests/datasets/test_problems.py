"""One sentence where one cause stands behind many problems."""

import pytest

from cnncli.datasets.problems import Problem, grouped, raise_any
from cnncli.errors import CnncliError

CAUSES = {
    "another format": lambda i: Problem(f"cats/{i}.ppm", "an image must be PNG or JPEG; received .ppm"),
    "a size": lambda i: Problem(f"cats/{i}.png", f"a mask must be as large as its image, {i} × 9; it is 3 × {i}"),
    "no mask": lambda i: Problem(f"images/{i}.png", f"an image must have a mask, masks/{'abc'[i % 3]}{i}.png"),
    "a cell": lambda i: Problem(f"labels.csv:{i}", f"column 'age' must be a number; received '{'xyz'[i % 3]}'"),
    "no file": lambda i: Problem(f"labels.csv:{i}", f"a file must be listed once; '{'ab'[i % 2]}.png' is on line {i}"),
    "damage": lambda i: Problem(f"cats/{i}.png", f"can't be read: image file is truncated ({i} bytes not processed)"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_hundred_problems_of_one_cause_are_one_sentence(cause):
    problems = [CAUSES[cause](i) for i in range(100)]
    first, what = problems[0], "rows" if ".csv" in problems[0].file else "files"
    assert grouped(problems) == [f"100 {what}, such as {first.file}: {first.rule}"]
    assert grouped(problems, all_of_it=True) == [f"all 100 {what}, such as {first.file}: {first.rule}"]
    with pytest.raises(CnncliError) as caught:
        raise_any("own", problems, "advice")
    assert str(caught.value).splitlines() == ["own: 100 problems", f"  {grouped(problems)[0]}", "advice"]


def test_causes_are_kept_apart_and_few_problems_are_listed():
    problems = [CAUSES[cause](i) for cause in CAUSES for i in range(30 if cause == "a size" else 2)]
    lines = grouped(problems)
    assert len(lines) == 1 + 2 * (len(CAUSES) - 1)
    assert sum("such as" in line for line in lines) == 1


def test_no_more_than_twenty_are_listed():
    problems = [Problem(f"{letter}.png", f"it is {letter}") for letter in "abcdefghijklmnopqrstuvwxyz"]
    with pytest.raises(CnncliError) as caught:
        raise_any("own", problems)
    lines = str(caught.value).splitlines()
    assert lines[0] == "own: 26 problems"
    assert lines[20] == "  t.png: it is t"
    assert lines[21] == "  and 6 more"
