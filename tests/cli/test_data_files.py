"""Reading DATA: every accepted kind of file becomes a table."""

import subprocess
import sys

import numpy as np
import pytest

from retroprop.cli.data_sources import BUNDLED, read_table
from retroprop.cli.table import Selection


def read_csv(tmp_path, text, **selection):
    pytest.importorskip("polars", reason=".csv files need polars")
    path = tmp_path / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(str(path), Selection(**selection))


def test_csv_numbers_and_text(tmp_path):
    table = read_csv(tmp_path, "a, b ,c,kind\n1,x, 2.5 ,u\n-3e1,y,4,v\n.5,x,5,u\n", target="kind")
    assert table.feature_names == ("a", "b", "c")
    assert table.named
    np.testing.assert_array_equal(table.x, [[1, 0, 2.5], [-30, 1, 4], [0.5, 0, 5]])
    assert table.categories == {"b": ("x", "y")}
    assert table.y.tolist() == ["u", "v", "u"]
    assert table.target_name == "kind"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_separators_and_line_ends(tmp_path, separator, end):
    text = end.join(line.replace(",", separator) for line in ("a,b", "1,2", "", "3,4", ",", ""))
    table = read_csv(tmp_path, "\ufeff" + text, target="b")
    np.testing.assert_array_equal(table.x, [[1], [3]])
    np.testing.assert_array_equal(table.y, [2, 4])


@pytest.mark.parametrize("target", ["b", "1", "-2"])
def test_target_by_name_or_position(tmp_path, target):
    table = read_csv(tmp_path, "a,b,c\n1,2,3\n4,5,6\n", target=target)
    assert table.target_name == "b"
    assert table.feature_names == ("a", "c")


def test_a_name_goes_before_a_position(tmp_path):
    assert read_csv(tmp_path, "2,1,0\n7,8,9\n", target="0", header=True).y.tolist() == [9]


@pytest.mark.parametrize(
    ("first", "is_data"),
    [
        ("5.1,3.5,setosa", True),
        ("7,1,2", True),
        ("1e5,2,3", True),
        ("0,1,2", False),
        ("1,2,3", False),
        ("0,1,target", False),
        ("a,b,nan", False),
    ],
)
def test_a_first_line_of_numbers_is_data(tmp_path, first, is_data):
    second = first if is_data else "4,2,3"
    table = read_csv(tmp_path, f"{first}\n{second}\n", target="-1")
    assert table.n_rows == 1 + is_data
    assert table.named is not is_data
    assert read_csv(tmp_path, f"{first}\n{second}\n", target="-1", header=True).n_rows == 1
    if is_data:
        assert table.feature_names == ("0", "1")
        assert table.target_name == "2"


def test_dropped_columns_may_hold_anything(tmp_path):
    table = read_csv(tmp_path, ",name,a,y\n0,,1,2\n1,Ann,3,4\n", target="y", drop=("0", "name"))
    assert table.feature_names == ("a",)
    assert table.dropped == ("unnamed 0", "name")


def test_booleans_are_numbers_as_features_and_classes_as_target(tmp_path):
    table = read_csv(tmp_path, "a,b,y\nTrue,1,true\nfalse,2,false\n", target="y")
    np.testing.assert_array_equal(table.x, [[1, 1], [0, 2]])
    assert table.categories == {}
    assert table.y.tolist() == ["true", "false"]


def test_place_counts_lines_as_an_editor_does(tmp_path):
    table = read_csv(tmp_path, 'a,b\n"x\ny",1\n\nz,2\n', target="b")
    assert [table.place(row) for row in range(2)] == ["line 2", "line 5"]


def test_parquet(tmp_path):
    pl = pytest.importorskip("polars", reason=".parquet files need polars")
    path = tmp_path / "data.parquet"
    kind = pl.Series("kind", ["u", "v"], dtype=pl.Categorical)
    pl.DataFrame({"n": [1, 2], "f": [0.5, 1.5], "b": [True, False], "t": ["p", "q"], "kind": kind}).write_parquet(path)
    table = read_table(str(path), Selection(target="kind"))
    np.testing.assert_array_equal(table.x, [[1, 0.5, 1, 0], [2, 1.5, 0, 1]])
    assert table.y.tolist() == ["u", "v"]
    assert read_table(str(path), Selection(target="b")).y.tolist() == ["true", "false"]


def test_npy_learns_its_last_column_by_default(tmp_path):
    path = tmp_path / "data.npy"
    np.save(path, np.arange(12, dtype=np.float32).reshape(4, 3))
    table = read_table(str(path), Selection())
    assert table.y.tolist() == [2, 5, 8, 11]
    assert table.x.dtype == np.float64
    assert read_table(str(path), Selection(target="0")).feature_names == ("1", "2")


@pytest.mark.parametrize(("names", "selection"), [(("X", "y"), {}), (("a", "b"), {"features": "a", "target": "b"})])
def test_npz(tmp_path, names, selection):
    path = tmp_path / "data.npz"
    np.savez(path, **{names[0]: np.arange(16).reshape(4, 2, 2), names[1]: np.array([[0], [1], [0], [1]])})
    table = read_table(str(path), Selection(**selection))
    assert table.x.shape == (4, 4)
    assert table.y.tolist() == [0, 1, 0, 1]
    np.savez(path, **{names[0]: np.ones((2, 3)), names[1]: np.array(["u", "v"])})
    assert read_table(str(path), Selection(**selection)).y.tolist() == ["u", "v"]


SHAPES = {
    "digits": (1797, 64),
    "iris": (150, 4),
    "wine": (178, 13),
    "breast_cancer": (569, 30),
    "diabetes": (442, 10),
}


@pytest.mark.parametrize(("name", "shape"), list(SHAPES.items()))
def test_bundled(name, shape):
    datasets = pytest.importorskip("sklearn.datasets", reason="the bundled data sets are scikit-learn's")
    assert set(SHAPES) == set(BUNDLED)
    table = read_table(name, Selection())
    assert table.x.shape == shape
    expected = getattr(datasets, f"load_{name}")()
    np.testing.assert_array_equal(table.x, expected.data)
    assert list(table.feature_names) == list(expected.feature_names)
    names = getattr(expected, "target_names", None)
    assert table.y.tolist() == (expected.target if name in ("digits", "diabetes") else names[expected.target]).tolist()
    assert len(table.feature_names) == shape[1]
    assert table.y.dtype.kind == ("f" if name in ("digits", "diabetes") else "U")


def test_digits_are_read_without_importing_scikit_learn():
    """That takes longer than the training of the demo."""
    pytest.importorskip("sklearn", reason="the bundled data sets are scikit-learn's")
    code = (
        "import sys\nfrom retroprop.cli.data_sources import read_table\nfrom retroprop.cli.table import Selection\n"
        "assert read_table('digits', Selection()).x.shape == (1797, 64)\nassert 'sklearn' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
