"""The table of how far exported networks are from ours."""

import json

from tests.interop.equality import FILE, PAGE, specs, table, with_table


def test_the_page_has_the_table_of_what_was_measured():
    found = json.loads(FILE.read_text())
    page = PAGE.read_text()
    assert table(found) in page
    assert with_table(page, found) == page
    assert len(found) == len(specs())


def test_every_format_is_equal_to_a_hundred_thousandth():
    for name, row in json.loads(FILE.read_text()).items():
        for key, deviation in row.items():
            assert isinstance(deviation, str) or deviation <= 1e-5, (name, key)
    refused = {name for name, row in json.loads(FILE.read_text()).items() if str in map(type, row.values())}
    assert refused == {"networks/convnexttiny"}
