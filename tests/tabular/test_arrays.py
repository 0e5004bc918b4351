"""NumPy's files and arrays as tables; and the sizes that files announce."""

import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from tables import learned, plain

from retroprop.tabular.errors import DataError
from retroprop.tabular.limits import default_limit, readable
from retroprop.tabular.reading import read
from retroprop.tabular.schema import find_schema


def values_of(source, **options):
    reading = {key: options.pop(key) for key in ("features", "target", "max_bytes") if key in options}
    raw = read(source, **reading)
    schema = find_schema(raw, target=None)
    return raw, plain(schema.typed(raw, want_target=True), schema)


def test_npy_learns_its_last_column_by_default(tmp_path):
    path = str(tmp_path / "data.npy")
    np.save(path, np.arange(12, dtype=np.float32).reshape(4, 3))
    assert values_of(path)[1] == {"0": [0, 3, 6, 9], "1": [1, 4, 7, 10], "2": [2, 5, 8, 11]}
    assert learned(path, target="0")[2]["0"] == [0, 3, 6, 9]
    np.save(path, np.array([[1.0, 0.0], [np.nan, 1.0]]))
    assert values_of(path)[1]["0"] == [1.0, None]


def test_a_later_array_may_lack_the_target(tmp_path):
    schema = learned(np.arange(12).reshape(4, 3) ** 2, target="-1")[1]
    raw = read(np.ones((2, 2)), layout=schema.layout)
    typed = schema.typed(raw, want_target=False)
    assert typed.target is None
    assert typed.numbers["1"].tolist() == [1, 1]
    with pytest.raises(DataError, match="9 feature columns, and the model was trained on 2"):
        schema.typed(read(np.ones((2, 9)), layout=schema.layout), want_target=False)


def test_named_fields_are_columns():
    table = np.array([(1, 0.5, "u"), (2, 1.5, "v")], dtype=[("n", int), ("f", float), ("kind", "U1")])
    assert learned(table)[2] == {"n": [1, 2], "f": [0.5, 1.5], "kind": ["u", "v"]}


@pytest.mark.parametrize(("x", "y"), [("X", "y"), ("data", "target"), ("X_train", "y_train"), ("images", "labels")])
def test_npz_by_the_usual_names(tmp_path, x, y):
    path = str(tmp_path / "data.npz")
    np.savez(path, **{x: np.arange(16).reshape(4, 2, 2), y: np.array([[0], [1], [0], [1]]), "other": np.ones(3)})
    raw, values = values_of(path)
    assert (raw.layout.features, raw.layout.target) == (x, y)
    assert values[y] == [0, 1, 0, 1]
    assert values["3"] == [3, 7, 11, 15]


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.array(["u", "v"]), ["u", "v"]),
        (np.array([b"u", b"v"]), ["u", "v"]),
        (np.array([True, False]), [True, False]),
        (np.array([2**53 + 1, 2**53]), [2**53 + 1, 2**53]),
        (np.array([2**64 - 1, 1], dtype=np.uint64), [2**64 - 1, 1]),
        (np.array([0.5, np.nan]), [0.5, None]),
        (np.array(["01", "1"]), ["01", "1"]),
    ],
)
def test_labels_of_arrays_are_exact(tmp_path, y, labels):
    path = str(tmp_path / "data.npz")
    np.savez(path, X=np.array([[1.0, 2.0], [3.0, 5.0]]), y=y)
    found = values_of(path)[1]["y"]
    assert found == labels
    assert list(map(type, found)) == list(map(type, labels))


def test_arrays_of_a_test_set_never_go_with_training_labels(tmp_path):
    path = str(tmp_path / "mnist.npz")
    x, y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])
    np.savez(path, x_train=x, y_train=y, x_test=-x, y_test=1 - y)
    layout = learned(path, target=None)[0].layout
    assert (layout.features, layout.target) == ("x_train", "y_train")
    raw = read(path, layout=layout, features="x_test")
    assert (raw.layout.features, raw.target) == ("x_test", "y_test")
    np.savez(path, x_train=x, y_train=y, x_test=-x)
    assert read(path, layout=layout, features="x_test").target is None
    assert read(path, layout=layout, features="x_test", target="y_train").target == "y_train"
    np.savez(path, x_test=-x)
    assert read(path, layout=layout).columns["0"].values.tolist() == [0, -2, -4, -6]
    np.savez(path, a=x)
    assert read(path, layout=layout).target is None


def test_only_the_arrays_asked_for_are_read(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, X=np.ones((4, 2)) * [[1], [2], [3], [4]], y=np.arange(4), other=np.ones(400))
    data = bytearray(path.read_bytes())
    at = data.index(np.ones(400).tobytes())
    data[at] ^= 1  # the checksum of this array no longer fits
    path.write_bytes(data)
    assert values_of(str(path))[1]["y"] == [0, 1, 2, 3]


def test_bad_arrays(tmp_path):
    npy, npz = tmp_path / "data.npy", tmp_path / "data.npz"

    def refused(path, **options):
        with pytest.raises(DataError) as error:
            values_of(str(path), **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    np.save(npy, np.array([[1, 2], [3, None]], dtype=object), allow_pickle=True)
    assert "never loaded" in refused(npy)
    np.save(npy, np.arange(3.0))
    assert "shape is (3,)" in refused(npy)
    np.save(npy, np.array([["a", "b"]]))
    assert "real numbers" in refused(npy)
    np.save(npy, np.ones((2, 2), dtype=complex))
    assert "complex128" in refused(npy)
    np.save(npy, np.array([[np.inf, 1], [2, 3]]))
    assert 'row 0, column "0"' in refused(npy)
    np.save(npy, np.ones((30, 3)))
    npy.write_bytes(npy.read_bytes()[:200])
    assert "damaged" in refused(npy)
    npy.write_bytes(b"hello")
    assert "not a file that NumPy wrote" in refused(npy)
    np.savez(npz, X=np.ones((4, 2)), z=np.ones(4))
    assert 'target="y"' in refused(npz, features="X", target="y")
    assert "no such array" in refused(npz, features="x")
    assert "both" in refused(npz, features="X", target="X")
    np.savez(npz, A=np.ones((4, 2)), z=np.ones(4))
    assert "Arrays: A, z" in refused(npz)
    np.savez(npz, X=np.ones((4, 2)), y=np.ones(3))
    assert '4 rows and array "y" 3' in refused(npz)
    np.savez(npz, X=np.ones((4, 2)), y=np.ones((4, 2)))
    assert "one value per row" in refused(npz)
    np.savez(npz, X=np.ones((4, 2)), y=np.array([1, None, 2, 3], dtype=object), allow_pickle=True)
    assert "never loaded" in refused(npz)


def test_options_of_other_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    with pytest.raises(DataError, match=r"header=\.\.\. is an option of a text file"):
        read(str(tmp_path / "a.npy"), header=True)
    with pytest.raises(DataError, match=r"features=\.\.\. names an array of an \.npz file"):
        read(str(tmp_path / "a.npy"), features="X")
    with pytest.raises(DataError, match=r"features=\.\.\. is an option of an \.npz file"):
        read("iris", features="X")
    with pytest.raises(DataError, match="a table is a path"):
        read(3)


def test_announced_sizes_are_compared_before_anything_is_unpacked(tmp_path):
    """A file of some kilobytes whose array would take 64 GiB: refused, although it is whole."""
    path = tmp_path / "bomb.npz"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8589934592, 1), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(DataError, match=r'array "X" would take 64 GiB of memory, and the limit is .* max_memory'):
        read(str(path))
    path = tmp_path / "a.npy"
    np.save(path, np.ones((1000, 2), dtype=np.uint8))
    with pytest.raises(DataError, match=r"would take 15\.6 KiB .* limit is 9\.77 KiB"):
        read(str(path), max_bytes=10_000)
    assert read(str(path), max_bytes=16_000).n_rows == 1000
    assert 2**20 <= default_limit() <= 4 * 2**30
    assert readable(3 * 2**50) == "3.07e+03 TiB"


SHAPES = {"digits": (1797, 64), "iris": (150, 4), "wine": (178, 13), "breast_cancer": (569, 30), "diabetes": (442, 10)}


@pytest.mark.parametrize(("name", "shape"), list(SHAPES.items()))
def test_built_in(name, shape):
    datasets = pytest.importorskip("sklearn.datasets", reason="the built-in data sets are scikit-learn's")
    raw = read(name)
    expected = getattr(datasets, f"load_{name}")()
    x = np.stack([raw.columns[feature].values for feature in expected.feature_names], axis=1)
    assert x.shape == shape
    np.testing.assert_array_equal(x, expected.data)
    schema = find_schema(raw, target=None)
    typed = schema.typed(raw, want_target=True)
    names = getattr(expected, "target_names", None)
    numeric = name in ("digits", "diabetes")
    assert typed.target.labels == (expected.target if numeric else names[expected.target]).tolist()
    assert typed.target.kind == ("number" if numeric else "category")


def test_arrays_and_built_in_data_need_no_polars(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="the built-in data sets are scikit-learn's")
    monkeypatch.setitem(sys.modules, "polars", None)
    assert set(values_of("iris")[1]["target"]) == {"setosa", "versicolor", "virginica"}
    np.savez(tmp_path / "a.npz", X=np.arange(6.0).reshape(3, 2), y=np.array(["1,5", "2,5", "?"]))
    values = values_of(str(tmp_path / "a.npz"))[1]
    assert values["y"] == ["1,5", "2,5", None]
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r'needs polars, which is not installed: pip install "retroprop\[data\]"'):
        read(str(tmp_path / "a.csv"))


def test_digits_are_read_without_importing_scikit_learn():
    """That takes longer than the training of the demo."""
    pytest.importorskip("sklearn", reason="the built-in data sets are scikit-learn's")
    code = (
        "import sys\nfrom retroprop.tabular.reading import read\nfrom retroprop.tabular.schema import find_schema\n"
        "raw = read('digits')\nschema = find_schema(raw, target=None)\n"
        "assert schema.typed(raw, want_target=True).n_rows == 1797\n"
        "assert not {'sklearn', 'polars', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
