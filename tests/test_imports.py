"""No module imports itself by way of others; `lint-imports` holds the contracts between packages."""

from graphlib import TopologicalSorter

import grimp


def test_modules_import_each_other_in_no_circle():
    graph = grimp.build_graph("cnncli")
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imported).prepare()  # raises CycleError, which names the circle
