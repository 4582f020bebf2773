"""Notebooks and Markdown pages: what is a module, and where its lines are."""

import json

import pytest

from verax.lint import Settings, check_text

NAN = ["import jax.numpy as jnp\n", "x == jnp.nan"]


def notebook(*sources, metadata=None, **about):
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": each} for each in sources]
    return json.dumps({"cells": cells, "metadata": metadata or {}, "nbformat": 4}, **about)


def places(text, file="a.ipynb"):
    found = check_text(text, file, settings=Settings(markdown=True))
    assert not found.broken
    return [(each.cell, each.line, each.column, each.code) for each in found.reports]


def test_names_are_known_from_cell_to_cell():
    text = notebook(NAN[:1], "a = 1\nb = (a ==\n     jnp.nan)")
    assert places(text) == [(2, 2, 6, "VX604")]
    assert str(check_text(text, "a.ipynb")).startswith("a.ipynb:cell 2:2:6: VX604 ")


@pytest.mark.parametrize(
    "line",
    [
        "%matplotlib inline", "!ls *.py", "x?", "??x", "files = !ls", "t = %timeit -o f()", "    %time f()", "%%time",
        "%load_ext autoreload\n!pip install 'x", "a, b = !ls",
    ],
)  # fmt: skip
def test_commands_of_ipython_are_passed_over(line):
    before = "if 1:\n" if line.startswith(" ") else ""
    text = notebook(f"{before}{line}\nimport jax.numpy as jnp", "y == jnp.nan")
    assert places(text) == [(2, 1, 1, "VX604")]


def test_what_only_looks_like_a_command_is_kept():
    text = notebook("import jax.numpy as jnp\n!ls\nx = (3\n  % 2 == jnp.nan)\ns = '''\n%time\n'''")
    assert places(text) == [(1, 3, 6, "VX604")]


def test_a_cell_of_another_language_is_passed_over():
    assert places(notebook(NAN, "%%bash\nfor x in y; do z; done\n")) == [(1, 2, 1, "VX604")]


def test_a_cell_that_is_no_python_is_reported_and_the_rest_goes_on():
    assert places(notebook("def f(:", NAN)) == [(1, 1, 7, "VX001"), (2, 2, 1, "VX604")]


def test_a_notebook_of_another_language_is_passed_over():
    assert places(notebook("library(x) <- 3", metadata={"kernelspec": {"language": "R"}})) == []
    assert places(notebook("using X", metadata={"language_info": {"name": "julia"}})) == []
    assert places(notebook(NAN, metadata={"kernelspec": {"language": "python"}})) == [(1, 2, 1, "VX604")]


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"cells": 3}', "", '{"nbformat": 3, "worksheets": []}'])
def test_what_is_no_notebook_is_reported(text):
    assert [each[3] for each in places(text)] == ["VX001"]


@pytest.mark.parametrize(
    "cell", [3, {}, {"cell_type": "code"}, {"cell_type": "code", "source": [3]}, {"cell_type": "code", "source": 3}]
)
def test_odd_cells_are_passed_over(cell):
    text = json.dumps({"cells": [cell, {"cell_type": "code", "source": NAN}], "metadata": []})
    assert places(text) == [(2, 2, 1, "VX604")]


PAGE = """# Title

```python
import jax.numpy as jnp
x == jnp.nan
```

- item

  ~~~~py title="x"
  import jax.numpy as jnp

  y == jnp.nan
  ~~~~

```{.python .numberLines}
import jax.numpy as jnp; x == jnp.nan
```
```pycon
>>> x == jnp.nan
```
```
x = (
```
    ```text
    ```
````markdown
```python
import jax; import jax.numpy as jnp; 1 == jnp.nan
```
````
```python
x = [...
```
```python
import jax.numpy as jnp
x == jnp.nan"""


def test_each_python_block_of_a_page_is_a_module():
    assert places(PAGE, "a.md") == [
        (None, 5, 1, "VX604"), (None, 13, 3, "VX604"), (None, 17, 26, "VX604"), (None, 33, 5, "VX001"),
        (None, 37, 1, "VX604"),
    ]  # fmt: skip
    assert check_text(PAGE, "a.md").reports == ()


def test_a_block_that_is_no_python_is_a_note():
    [found] = check_text("```python\nx = (...\n```\n", "a.md", settings=Settings(markdown=True)).reports
    assert (found.level, found.message) == ("note", "this block cannot be read as Python: '(' was never closed.")
