"""Any label file, any table of texts, any word: taken as it stands, or named."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from modal_pretrain.labelling.label_file import LabelFile
from modal_pretrain.labelling.pools import TextPool
from modal_pretrain.labelling.records import FIELDS
from modal_pretrain.labelling.words import check_word
from tests.attack.cases import check_error
from tests.attack.test_files import damaged

cells = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["a/0.png", "cat", " cat ", "None", "NA", "", "1", "labelled"]),
)
columns = st.lists(st.sampled_from([*FIELDS, "review", ""]), max_size=9)


def table(header, rows):
    text = io.StringIO()
    # Before Python 3.11 a zero has to be escaped.
    writer = csv.writer(text, lineterminator="\n", escapechar="\\")
    writer.writerows([header, *rows])
    return text.getvalue().encode("utf-8", "replace")


tables = st.builds(table, columns, st.lists(st.lists(cells, max_size=9), max_size=5))
usual = table(("item", "label"), [("a/0.png", "cat"), ("b.png", "dog")])
contents = st.one_of(tables, st.binary(max_size=60), damaged(usual))


@given(content=contents)
def test_any_label_file(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    path.write_bytes(content)
    try:
        file = LabelFile(path)
    except Exception as error:
        check_error(error, [path.name])
        assert path.read_bytes() == content
        return
    number = max((record.answer for record in file.records), default=0) + 1
    more = [record._replace(answer=number) for record in file.records[:1]]
    file.append(more)
    file.close()
    again = LabelFile(path)
    again.close()
    # What was understood once is understood alike ever after.
    kept = [record._replace(time="") for record in again.records]
    before = [record._replace(time="") for record in file.records]
    assert kept == [*before, *(record._replace(time="") for record in more)]
    for record in again.records:
        assert record.label == "" or check_word("label", record.label) == record.label


@given(content=contents)
def test_any_table_of_texts(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    path.write_bytes(content)
    try:
        pool = TextPool.from_csv(path, "review")
    except Exception as error:
        check_error(error, [path.name, "pool"])
    else:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
        known = {row["review"] for row in rows}
        assert {text for text in pool.X if "\r" not in text} <= known


@given(word=st.one_of(st.text(max_size=9), st.none(), st.integers(), st.binary()))
def test_any_word(word):
    try:
        found = check_word("label", word)
    except Exception as error:
        check_error(error, ["label"])
    else:
        assert check_word("label", found) == found
