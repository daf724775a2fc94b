import unicodedata

import pytest
from PIL import Image

from color_s4l import data
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings


@pytest.fixture
def root(tmp_path):
    """Files 0.png to 5.png, filled with 0 to 5, some of them in a folder below."""
    for level in range(6):
        path = tmp_path / ("" if level < 3 else "deeper/er") / f"{level}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (level,) * 3).save(path)
    return tmp_path


TABLE = "filename,label\n1.png,cat\n0.png,dog\ndeeper/er/3.png,dog\n2.png,cat\n"


def load(root, table=None, name="labels.csv", **options):
    if table is not None:
        content = table.encode() if isinstance(table, str) else table
        (root / name).write_bytes(content)
    options = {"test_fraction": 0.5} | options
    return data.load_source(
        DataSettings("folder", str(root), 8, labels_csv=name, **options)
    )


def levels(images):
    return images[:, 0, 0, 0].tolist()


def labelled(dataset):
    """Level -> class of all images, tested or trained on."""
    pairs = [
        *zip(levels(dataset.images), dataset.labels, strict=True),
        *zip(levels(dataset.test_images), dataset.test_labels, strict=True),
    ]
    return {level: dataset.classes[k] if k >= 0 else None for level, k in pairs}


EXPECTED = {0: "dog", 1: "cat", 2: "cat", 3: "dog", 4: None, 5: None}


def test_labels_what_is_listed_and_nothing_else(root):
    dataset = load(root, TABLE)
    assert dataset.classes == ("cat", "dog")
    assert labelled(dataset) == EXPECTED
    assert sorted(dataset.test_labels) == [0, 1]


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.encode("utf-32"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode(),
        TABLE.replace(",", " , ").encode(),
        (TABLE + "deeper/er/4.png,\n").encode(),
        b"label,sure,filename\ncat,1,1.png\ndog,2,0.png\ncat,3,2.png\n"
        b'dog,"4,5",deeper/er/3.png\n',
    ],
)
def test_reads_what_tables_are_written_by(root, content):
    assert labelled(load(root, content)) == EXPECTED


def test_reads_latin_1_and_says_so(root, capsys):
    table = TABLE.replace("cat", "Kätzchen")
    dataset = load(root, table.encode("latin-1"))
    assert dataset.classes == ("Kätzchen", "dog")
    assert "labels.csv is no UTF-8; read as Latin-1" in capsys.readouterr().err


def test_labels_stay_text(root):
    dataset = load(root, TABLE.replace("cat", "NA").replace("dog", "007"))
    assert dataset.classes == ("007", "NA")


def test_file_names_are_found_however_they_are_spelled(root):
    Image.new("RGB", (8, 8), (9,) * 3).save(
        root / unicodedata.normalize("NFD", "Äpfel.png")
    )
    table = TABLE.replace("1.png", "./deeper/../1.png").replace(
        "deeper/er/3.png", str(root / "deeper" / "er" / "3.png")
    )
    dataset = load(root, table + unicodedata.normalize("NFC", "Äpfel.png,cat\n"))
    assert labelled(dataset) == EXPECTED | {9: "cat"}


def test_a_table_elsewhere_may_name_files_beside_it(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("tables")
    Image.new("RGB", (8, 8), (9,) * 3).save(elsewhere / "9.png")
    (elsewhere / "more.csv").write_text(TABLE + "9.png,cat\n")
    dataset = load(root, name=str(elsewhere / "more.csv"))
    assert labelled(dataset) == EXPECTED | {9: "cat"}


def test_a_test_folder_is_labelled_by_its_folders_or_the_table(root):
    (root / "test" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8), (9,) * 3).save(root / "test" / "cat" / "9.png")
    for table in (TABLE, TABLE + "test/cat/9.png,cat\n"):
        dataset = load(root, table, test_fraction=None)
        assert levels(dataset.test_images) == [9]
        assert dataset.test_labels.tolist() == [0]
        assert len(dataset.images) == 6
    Image.new("RGB", (8, 8)).save(root / "test" / "8.png")
    with pytest.raises(InputError, match=r"1 of 2 files below .*no label.*8\.png"):
        load(root, TABLE + "test/cat/9.png,cat\n", test_fraction=None)


def test_class_folders_keep_their_labels_unless_the_table_lists_one(root):
    for name in ("cat/9.png", "cat/8.png", "owl/deep/7.png", "6.png"):
        (root / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (int(name[-5]),) * 3).save(root / "train" / name)
    adding = load(root, TABLE, test_fraction=0.9)
    found = {9: "cat", 8: "cat", 7: "owl", 6: None}
    assert labelled(adding) == EXPECTED | found
    # Of the classes cat (4) and dog (2), only what lies in class folders is tested on.
    assert set(levels(adding.test_images)) < {8, 9}
    listed = labelled(load(root, TABLE + "train/6.png,cat\n"))
    assert listed == EXPECTED | {9: None, 8: None, 7: None, 6: "cat"}


@pytest.mark.parametrize("part", ["train", "test"])
def test_refuses_to_contradict_class_folders(root, part):
    (root / part / "cat").mkdir(parents=True)
    for level in (8, 9):
        path = root / part / "cat" / f"{level}.png"
        Image.new("RGB", (8, 8), (level,) * 3).save(path)
    rows = f"{part}/cat/8.png,cat\n{part}/cat/9.png,dog\n"
    text = f"contradicts the class folders of 1 files: '{part}/cat/9.png' is 'dog'"
    with pytest.raises(InputError, match=text):
        load(root, TABLE + rows, test_fraction=None)


FORMS = ("NFC", "NFD")


@pytest.mark.parametrize("table", FORMS)
@pytest.mark.parametrize("folder", FORMS)
def test_accents_are_one_name_however_they_are_spelled(root, folder, table):
    cafe = unicodedata.normalize("NFC", "café")
    for name in ("train/café/9.png", "test/café/8.png", "train/owl/7.png"):
        path = root / unicodedata.normalize(folder, name)
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), (int(path.stem),) * 3).save(path)
    alone = data.load_source(DataSettings("folder", str(root), 8))
    assert labelled(alone) == {9: cafe, 8: cafe, 7: "owl"}
    rows = "filename,label\n1.png,café\n"
    adding = load(root, unicodedata.normalize(table, rows), test_fraction=None)
    none = dict.fromkeys((0, 2, 3, 4, 5))
    assert labelled(adding) == {9: cafe, 8: cafe, 7: "owl", 1: cafe} | none
    rows += "train/café/9.png,{}\ntest/café/8.png,café\n"
    agreeing = unicodedata.normalize(table, rows.format("café"))
    listed = labelled(load(root, agreeing, test_fraction=None))
    assert listed == {9: cafe, 8: cafe, 7: None, 1: cafe} | none
    with pytest.raises(InputError, match=r"folders of 1 files: 'train/.*' is 'owl'"):
        load(root, unicodedata.normalize(table, rows.format("owl")), test_fraction=None)


def test_refuses_one_class_in_two_spellings(root):
    for form in FORMS:
        (root / "train" / unicodedata.normalize(form, "café")).mkdir(parents=True)
    with pytest.raises(InputError, match=r"has two folders 'café'.* into one"):
        data.load_source(DataSettings("folder", str(root), 8))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("", "is no table of labels"),
        ("\n\n", "is no table of labels"),
        ("filename,label\n", "has no rows"),
        ("file,label\n1.png,cat\n", "columns filename and label.*It has: 'file', 'l"),
        ("1.png,cat\n0.png,dog\n", "expected the columns filename and label"),
        (TABLE + "1.png,dog\n", "row 5 names a file again: '1.png'"),
        (TABLE + "./1.png,cat\n", "names 1 files again by another spelling"),
        (TABLE + "no.png,cat\nno2.png,cat\n", "names 2 of 6 files .* such as 'no.png'"),
        (TABLE + ",cat\n", "row 5 has no filename"),
        (TABLE + "a,b,c,d\n", "is no table of labels: .*Expected 2 fields in line 6"),
        ("filename,label\n1.png,cat,x\n", "as many values in every row"),
        ("filename,label, label\n1.png,cat,x\n", "each once"),
        ("filename,label\n1.png,\n", "gives no image a label"),
        ('filename,label\n"1.png,cat\n', "is no table of labels"),
        (b"\xff\xfef", "begins like utf-16 and is none"),
        (b"\x00\x01\x02\x80", "expected the columns"),
    ],
)
def test_refuses_other_tables_in_one_line(root, table, text):
    with pytest.raises(InputError, match=text) as raised:
        load(root, table)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_refuses_a_table_that_is_not_there(root):
    with pytest.raises(InputError, match=r"Cannot read .*no\.csv: No such file"):
        load(root, name="no.csv")
    (root / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"Cannot read .*folder\.csv: Is a directory"):
        load(root, name="folder.csv")
