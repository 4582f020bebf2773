"""The tables of names, and which releases decide."""

import json
from pathlib import Path

import pytest

from verax.lint._check import check
from verax.lint._rule import all_rules
from verax.lint._tables import FOLDER, ROOTS, table, version

RULES = [each for each in all_rules().values() if each.code.startswith("VX4") and not each.opt_in]


def said(text, file="<text>", name="", **known):
    return [(each.code, each.level) for each in check(text, RULES, file, name, known=known).reports]


@pytest.mark.parametrize("package", ROOTS)
def test_a_table_has_the_form_that_the_linter_reads(package):
    read = json.loads((FOLDER / f"{package}.json").read_text())
    releases = read["releases"]
    assert read["package"] == package
    assert releases == sorted(releases, key=version)
    for name, module in read["modules"].items():
        assert name.partition(".")[0] == package
        assert set(module) == {"since", "until", "open", "hidden", "names", "stale"}
        assert module["since"] in releases and module["until"] in [None, *releases]
        assert set(module["names"]) <= set(releases)
        everything = [each for names in module["names"].values() for each in names.split()]
        assert len(everything) == len(set(everything)) and not set(everything) & set(module["stale"])
        for added, deprecated, removed, message in module["stale"].values():
            assert {added, deprecated, removed} <= {None, *releases} and (deprecated or removed)
            assert isinstance(message, str) and "\n" not in message
            order = [version(each) for each in (added, deprecated, removed) if each]
            assert order == sorted(order)
    for keywords in read["keywords"].values():
        assert all({deprecated, removed} <= {None, *releases} for deprecated, removed in keywords.values())


@pytest.mark.parametrize(
    ("name", "deprecated", "removed"),
    [
        ("jax.tree_map", "0.4.26", "0.6.0"),
        ("jax.partial", None, "0.2.21"),
        ("jax.ops.index_update", None, "0.3.2"),
        ("jax.xla_computation", "0.4.30", "0.4.34"),
        ("jax.numpy.trapz", "0.4.16", "0.4.24"),
        ("jax.experimental.pjit.pjit", "0.8.0", None),
        ("jax.experimental.shard_map.shard_map", "0.8.0", None),
        ("jax.random.KeyArray", "0.4.16", "0.4.24"),
        ("flax.optim", None, "0.6.0"),
        ("optax.additive_weight_decay", None, "0.1.8"),
    ],
)
def test_a_name_went_when_its_releases_say(name, deprecated, removed):
    module, _, last = name.rpartition(".")
    contents = table(name.partition(".")[0]).module(module)
    found = contents.stale(last)
    assert (found.deprecated, found.removed) == (deprecated, removed)


@pytest.mark.parametrize("name", ["jax.tree.map", "jax.numpy.isin", "jax.shard_map", "optax.adamw", "flax.linen.Dense"])
def test_a_current_name_is_in_its_table(name):
    assert table(name.partition(".")[0]).added(name) is not None


def test_keywords_come_from_signatures():
    assert table("jax").keywords("jax.numpy.clip")["a_min"] == ("0.4.27", "0.10.0")
    assert "min" not in table("jax").keywords("jax.numpy.clip")


def test_the_installed_releases_have_what_the_tables_say():
    import jax
    import jax.numpy
    import optax
    from flax import linen, nnx

    here = {"jax": jax.__version__, "optax": optax.__version__}
    for module in (jax, jax.numpy, jax.lax, jax.random, jax.nn, optax, linen, nnx):
        name = module.__name__
        package = name.partition(".")[0]
        contents = table(package).module(name)
        installed = here.get(package)
        if installed is None or version(installed) > version(table(package).releases[-1]):
            continue
        public = {each for each in vars(module) if not each.startswith("_")}
        assert public <= set(contents.names) | set(contents.stale_names())
        gone = [each for each in contents.stale_names() if (removed := contents.stale(each).removed)
                and version(removed) <= version(installed)]  # fmt: skip
        assert not [each for each in gone if hasattr(module, each)]


STALE = "import jax\njax.tree_map(len, [])\n"


def test_the_newest_release_that_is_allowed_decides():
    assert said(STALE) == [("VX401", "error")]
    assert said(STALE, target_jax="0.4.20") == []
    assert said(STALE, target_jax="0.5.0") == [("VX401", "warning")]
    assert said(STALE, target_jax="0.6.0") == [("VX401", "error")]
    assert said(STALE, target_jax="99.0") == [("VX401", "error")]
    assert said(STALE, requirements={"jax": (("<", "0.4.20"),)}) == []
    assert said(STALE, requirements={"jax": ((">=", "0.4.1"),)}) == [("VX401", "error")]
    assert said(STALE, requirements={"jax": (("~=", "0.4.20"),)}) == [("VX401", "warning")]
    assert said(STALE, requirements={"jax": (("==", "0.4.15"),)}) == []
    assert said(STALE, requirements={"jax": (("<", "0.1"),)}) == []
    assert said(STALE, requirements={"jax": (("!=", "0.6.0"),)}) == [("VX401", "error")]


def test_a_release_that_the_tables_do_not_know_silences_unknown_names():
    text = "import jax.numpy as jnp\njnp.tensor([1.0])\n"
    assert said(text) == [("VX411", "error")]
    assert said(text, target_jax="99.0") == []
    assert said(text, requirements={"jax": ((">=", "99.0"),)}) == []


def test_what_only_the_last_releases_took_away_is_a_warning_unless_the_project_names_them():
    text = "import jax\njax.custom_remat\n"
    assert said(text) == [("VX405", "warning")]
    assert said(text, target_jax="0.12.0") == [("VX405", "error")]
    assert said(text, target_jax="0.11.2") == []


def test_a_fix_is_safe_only_where_all_allowed_releases_have_its_name():
    known = {"requirements": {"jax": ((">=", "0.4.10"),)}}
    (report,) = check(STALE, RULES, known=known).reports
    assert report.fix.title == "Replace by jax.tree_util.tree_map" and report.fix.safe
    text = "import jax.numpy as jnp\njnp.trapz([1.0])\n"
    (report,) = check(text, RULES, known=known).reports
    assert not report.fix.safe
    (report,) = check(text, RULES).reports
    assert report.fix.safe


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("x/site-packages/jax/_src/api.py", ""),
        ("api.py", "jax._src.api"),
        (str(Path("a", "dist-packages", "jax", "b.py")), ""),
    ],
)
def test_a_library_may_use_what_it_takes_away(file, name):
    assert said(STALE, file, name) == []
    assert said("import optax\noptax.AdamW\n", file, name) == [("VX411", "error")]


def test_a_relative_import_is_no_library():
    assert said("import jax\nfrom .jax import tree_map\nfrom . import optax\noptax.AdamW\ntree_map\n") == []
