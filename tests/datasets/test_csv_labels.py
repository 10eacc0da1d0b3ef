"""Labels of load_csv: their types and spellings."""

import warnings

import pytest

from modal_pretrain._inputs.spelling import equal_numbers, look_alikes
from modal_pretrain.datasets import load_csv
from tests.datasets.tables import COLUMNS, CSV


def test_csv_says_which_classes_train_lacks(table):
    table.write_text(CSV.replace("f.png,cat", "f.png,house cat"))
    with pytest.warns(UserWarning, match="1 of 2 rows .* 'house cat', ") as caught:
        data = load_csv(table, **COLUMNS)
    assert caught[0].filename == __file__
    assert data.y.tolist() == ["cat", "cat", "dog", "dog", "house cat"]
    assert len(load_csv(table, **COLUMNS, labels="text")) == 5


def test_csv_labels_as_texts(table):
    table.write_text(CSV.replace(",cat", ",007"))
    with pytest.raises(ValueError, match="labels='text'"):
        load_csv(table, **COLUMNS)
    assert load_csv(table, **COLUMNS, labels="text").y[0] == "007"
    table.write_text(CSV.replace(",cat", ",007").replace(",dog", ",8.0"))
    assert load_csv(table, **COLUMNS).y.tolist() == ["007", "007", "8.0", "8.0", "007"]
    table.write_text(CSV.replace(",cat", ",7").replace(",dog", ",8.0"))
    assert load_csv(table, **COLUMNS).y.tolist() == [7, 7, 8, 8, 7]
    table.write_text(CSV.replace(",cat", ",0.5").replace(",dog", ",8"))
    with pytest.raises(ValueError, match="must hold whole numbers; row 1"):
        load_csv(table, **COLUMNS)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1.0"), ("1000", "1e3"), ("1", "+1"), ("1.0", "1.00")]
)
def test_csv_two_spellings_of_one_number(table, one, other):
    table.write_text(CSV.replace(",cat", f",{one}").replace(",dog", f",{other}"))
    with pytest.raises(ValueError, match=r"'kind' of .* spells one number"):
        load_csv(table, **COLUMNS)
    assert set(load_csv(table, **COLUMNS, labels="text").y) == {one, other}


def test_csv_leading_zeros_are_kept(table):
    table.write_text(CSV.replace(",cat", ",01").replace(",dog", ",2"))
    assert load_csv(table, **COLUMNS).class_names == ("01", "2")


def test_csv_codes_of_one_number_are_warned_of(table):
    """A spreadsheet has taken the leading zeros from a part of them."""
    table.write_text(CSV.replace(",cat", ",01").replace(",dog", ",1"))
    with pytest.warns(UserWarning, match=r"'01' \(3 rows\) and '1' \(2 rows\), which"):
        assert load_csv(table, **COLUMNS).class_names == ("01", "1")
    assert load_csv(table, **COLUMNS, labels="text").class_names == ("01", "1")


def test_csv_keeps_long_numbers_apart(table):
    table.write_text(
        CSV.replace(",7,", ",9007199254740993,").replace(",8,", ",9007199254740992,")
    )
    users = load_csv(table, **COLUMNS, extra=["user"]).extra["user"]
    assert users[:3].tolist() == [2**53 + 1, 2**53, 2**53 + 1]
    for odd in ("inf", "1e300"):
        table.write_text(CSV.replace(",7,", f",{odd},"))
        with pytest.raises(ValueError, match=f"whole numbers; row 1 .*'{odd}'"):
            load_csv(table, **COLUMNS, extra=["user"])


@pytest.mark.parametrize("other", [" cat", "cat ", "café|cafe\u0301"])
def test_csv_labels_that_look_alike(table, other):
    first, _, second = other.partition("|")
    text = CSV.replace("f.png,cat", f"f.png,{first}")
    table.write_text(text.replace(",cat,", f",{second},") if second else text)
    with pytest.raises(ValueError, match=r"'kind' of .* spells one label"):
        load_csv(table, **COLUMNS)
    assert len(load_csv(table, **COLUMNS, labels="text").classes) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "a\u200b"),
        ("a b", "a\u00a0b"),
        ("a b", "a  b"),
        ("a", "a\0"),
    ],
)
def test_names_that_differ_in_what_cannot_be_seen(one, other):
    assert look_alikes(["c", one, other]) == (one, other)
    assert look_alikes(["\u0646\u0645\u06cc", "\u0646\u0645\u200c\u06cc"]) is None


def test_identifiers_are_not_equal_numbers():
    names = ["1e999", "2e888", "34e56789"]  # as numbers, infinite
    names += ["12345678901234567890", "12345678901234567891"]  # as floats, equal
    assert equal_numbers(names) is None
    assert equal_numbers([*names, "5", "5.0"]) == ("5", "5.0")
    assert equal_numbers([*names, "1e2", "100"]) == ("1e2", "100")


def test_csv_codes_that_differ_in_spaces(table):
    table.write_text("file,kind\na.png,01\nb.png,01 \n")
    with pytest.raises(ValueError, match="spells one label '01' and '01 '"):
        load_csv(table, image="file", target="kind", missing="ignore")


def test_csv_labels_that_differ_in_capitals(table):
    table.write_text("file,kind\na.png,cat\nb.png,Cat\nc.png,cat\nd.png,dog\n")
    columns = {"image": "file", "target": "kind", "missing": "ignore"}
    with pytest.warns(UserWarning, match=r"'cat' \(2 rows\) and 'Cat' \(1 rows\)"):
        found = load_csv(table, **columns)
    assert found.class_names == ("Cat", "cat", "dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_csv(table, **columns, labels="text")
        table.write_text("file,kind\na.png,a\nb.png,A\n")  # letters
        load_csv(table, **columns)


def test_labels_with_fractions_may_be_texts(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,dose\na,0.5\nb,1\n")
    with pytest.raises(ValueError, match=r"whole numbers; .* for texts: labels='text'"):
        load_csv(path, text="text", target="dose")


@pytest.mark.parametrize("blank", [" ", "   ", "\u00a0", "\t", "\u200b"])
@pytest.mark.parametrize("column", ["kind", "place"])
def test_csv_cells_of_spaces_alone_are_empty(table, blank, column):
    cells = f"a.png,{blank},in" if column == "kind" else f"a.png,cat,{blank}"
    table.write_text(CSV.replace("a.png,cat,in", cells))
    with pytest.raises(ValueError, match=rf"empty cell, in {column} \(1\); the first"):
        load_csv(table, **COLUMNS)
    with pytest.warns(UserWarning, match="They are left out"):
        data = load_csv(table, **COLUMNS, missing="drop")
    assert len(data) == 4
    data = load_csv(table, **COLUMNS, labels="text")  # as they stand
    assert (data.y if column == "kind" else data.attribute)[0] == blank


@pytest.mark.parametrize(
    "typed", ["cooper\u2019s x-ray", "cooper's x\u2013ray", "Cooper\u2019s x\u2011ray"]
)
def test_csv_apostrophes_and_dashes_that_a_program_changed(table, typed):
    """Word processors write others than keyboards have."""
    plain = "cooper's x-ray"
    table.write_text(CSV.replace(",cat", f",{plain}").replace(",dog", f",{typed}"))
    with pytest.warns(UserWarning, match=r"2 rows\), which are two labels") as caught:
        data = load_csv(table, **COLUMNS)
    assert caught[0].filename == __file__
    assert data.classes.tolist() == sorted([plain, typed])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_csv(table, **COLUMNS, labels="text")


@pytest.mark.parametrize(
    "error",
    [
        "#N/A",
        "#REF!",
        "#NV",
        "#N/D",
        "#DIV/0!",
        "#\u00a1VALOR!",
        "#NOM?",
        "##",
        "#HI\u00c1NYZIK",
        "Err:502",
    ],
)
def test_csv_errors_of_formulas_are_no_labels(table, error):
    """A label that a formula looks up fails for rows of which the other sheet has none.

    As a class of its own it was learned without a word.
    """
    table.write_text(CSV.replace("a.png,cat,in", f"a.png,{error},in"))
    with pytest.raises(ValueError, match=r"cell or an error, '.+', in kind \(1\)"):
        load_csv(table, **COLUMNS)
    with pytest.warns(UserWarning, match="They are left out"):
        assert error not in load_csv(table, **COLUMNS, missing="drop").y
    assert error in load_csv(table, **COLUMNS, labels="text").y


@pytest.mark.parametrize("sign", ["#", "#1", "#cats", "C#", "NA", "?"])
def test_csv_labels_that_are_no_errors_of_formulas(table, sign):
    table.write_text(CSV.replace("cat", sign))
    assert sign in load_csv(table, **COLUMNS).y


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("red fox", "red_fox"),
        ("red-fox", "Red_fox"),
        ("\u30cd\u30b3", "\uff88\uff7a"),  # of full and half width
        ("type 1", "type \uff11"),
        ("\u2764\ufe0f", "\u2764"),  # an emoji in colour and in black
    ],
)
def test_csv_labels_typed_in_two_ways_are_warned_of(table, one, other):
    table.write_text(CSV.replace(",cat", f",{one}").replace(",dog", f",{other}"))
    with pytest.warns(UserWarning, match=r"2 rows\), which are two labels"):
        assert sorted(load_csv(table, **COLUMNS).classes) == sorted([one, other])


@pytest.mark.parametrize(
    ("one", "other"),
    [("ER", "ER-"), ("A 1", "A1"), ("-a", "a"), ("-", "--"), ("BB-", "BB--")],
)
def test_csv_labels_that_differ_in_a_sign_at_an_end(table, one, other):
    table.write_text(CSV.replace(",cat", f",{one}").replace(",dog", f",{other}"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_csv(table, **COLUMNS)


@pytest.mark.parametrize(
    "copied", ["\u202bcat\u202c", "\u2067cat\u2069", "\u061ccat", "ca\u00adt"]
)
def test_csv_labels_that_came_with_marks_of_direction(table, copied):
    """Copied out of Arabic or Hebrew text; no reader sees them."""
    table.write_text(CSV.replace("a.png,cat", f"a.png,{copied}"), "utf-8")
    with pytest.raises(ValueError, match="spells one label"):
        load_csv(table, **COLUMNS)


def test_csv_columns_called_self(tmp_path):
    """DataFrame.assign takes no such column."""
    path = tmp_path / "t.csv"
    path.write_text("self,label\na,x\nb,y\na,x\n")
    with pytest.warns(UserWarning, match="repeat the 'self'"):
        data = load_csv(path, text="self", target="label", duplicates="drop")
    assert data.X.tolist() == ["a", "b"]
    data = load_csv(path, text="label", target="self", duplicates="keep", test_size=0)
    assert data.y.tolist() == ["a", "b", "a"]


def test_csv_numbers_with_points_that_floats_do_not_tell_apart(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,user\na,9007199254740992.0\nb,9007199254740993.0\n")
    with pytest.raises(ValueError, match="whole numbers; row 1 below the header"):
        load_csv(path, text="text", target="user")


def test_csv_warns_of_other_capitals_beside_a_space(table):
    table.write_text("file,kind\na.png,cat\nb.png,Cat \nc.png,cat\nd.png,dog\n")
    columns = {"image": "file", "target": "kind", "missing": "ignore"}
    with pytest.warns(UserWarning, match=r"'cat' \(2 rows\) and 'Cat ' \(1 rows\)"):
        load_csv(table, **columns)
