import unicodedata

import pytest

from color_s4l.errors import InputError


@pytest.fixture
def root(tmp_path, put):
    """Files 0.png to 5.png, filled with 0 to 5, the last three in a subfolder."""
    for level in range(6):
        put(f"{'' if level < 3 else 'deeper/er/'}{level}.png", level)
    return tmp_path


@pytest.fixture
def listed(root, load):
    """A function: writes a table into the folder, and reads the folder with it."""

    def read(table=None, name="labels.csv", test_fraction=0.5):
        if table is not None:
            content = table.encode() if isinstance(table, str) else table
            (root / name).write_bytes(content)
        return load(labels_csv=name, test_fraction=test_fraction)

    return read


TABLE = "filename,label\n1.png,cat\n0.png,dog\ndeeper/er/3.png,dog\n2.png,cat\n"
EXPECTED = {0: "dog", 1: "cat", 2: "cat", 3: "dog", 4: None, 5: None}


def levels(images):
    return images[:, 0, 0, 0].tolist()


def labelled(dataset):
    """Level -> class of all training and test images."""
    pairs = [
        *zip(levels(dataset.images), dataset.labels, strict=True),
        *zip(levels(dataset.test_images), dataset.test_labels, strict=True),
    ]
    return {level: dataset.classes[k] if k >= 0 else None for level, k in pairs}


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
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
def test_reads_tables_of_common_programs(listed, content):
    dataset = listed(content)
    assert dataset.classes == ("cat", "dog")
    assert labelled(dataset) == EXPECTED
    assert sorted(dataset.test_labels) == [0, 1]


def test_labels_stay_text_also_in_latin_1(listed):
    table = TABLE.replace("cat", "NA").replace("dog", "007")
    assert listed(table).classes == ("007", "NA")
    with pytest.warns(match="labels.csv is not UTF-8 and was read as Latin-1"):
        dataset = listed(TABLE.replace("cat", "Kätzchen").encode("latin-1"))
    assert dataset.classes == ("Kätzchen", "dog")


def test_finds_file_names_in_any_spelling(root, put, listed):
    put(unicodedata.normalize("NFD", "Äpfel.png"), 9)
    table = TABLE.replace("1.png", "./deeper/../1.png").replace(
        "deeper/er/3.png", str(root / "deeper" / "er" / "3.png")
    )
    dataset = listed(table + unicodedata.normalize("NFC", "Äpfel.png,cat\n"))
    assert labelled(dataset) == EXPECTED | {9: "cat"}


def test_a_table_elsewhere_may_name_files_beside_it(put, listed, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("tables")
    put(elsewhere / "9.png", 9)
    (elsewhere / "more.csv").write_text(TABLE + "9.png,cat\n")
    dataset = listed(name=str(elsewhere / "more.csv"))
    assert labelled(dataset) == EXPECTED | {9: "cat"}


def test_names_may_be_relative_to_one_subfolder(put, load, tmp_path, caplog):
    caplog.set_level("INFO")
    for level in range(4):
        put(f"photos/flat/{level // 2}/{level}.png", level)
    (tmp_path / "labels.csv").write_text(
        "filename,label\n0/0.png,cat\n0/1.png,cat\n1/2.png,dog\n"
    )
    dataset = load(labels_csv="labels.csv", test_fraction=0.5)
    assert labelled(dataset) == {0: "cat", 1: "cat", 2: "dog", 3: None}
    assert f"are relative to {tmp_path}/photos/flat" in caplog.text
    # Two folders have all files: the table could mean either.
    for level in range(3):
        put(f"copies/{level // 2}/{level}.png", level)
    with pytest.raises(InputError, match=r"3 of 3 files listed .* Did you mean"):
        load(labels_csv="labels.csv", test_fraction=0.5)


def test_the_column_split_names_the_test_images(put, listed):
    rows = ["1.png,cat,", "0.png,dog,train", "2.png,cat,Test", "deeper/er/3.png,dog,"]
    table = "\n".join(["filename,label,split", *rows, "deeper/er/4.png,dog,test"])
    dataset = listed(table, test_fraction=None)
    assert labelled(dataset) == EXPECTED | {4: "dog"}
    assert levels(dataset.test_images) == [2, 4]
    assert dataset.test_labels.tolist() == [0, 1]
    with pytest.raises(InputError, match="the column split of `labels_csv` has test"):
        listed(table, test_fraction=0.5)
    with pytest.raises(InputError, match=r"1 test images without a label.*5\.png"):
        listed(table + "\ndeeper/er/5.png,,test", test_fraction=None)
    with pytest.raises(InputError, match="row 6: expected split to be train or test"):
        listed(table + "\ndeeper/er/5.png,cat,val", test_fraction=None)
    put("test/cat/9.png", 9)
    with pytest.raises(InputError, match="/test has images that are not in its test"):
        listed(table, test_fraction=None)


def test_a_test_folder_is_labelled_by_its_folders_or_the_table(put, listed):
    put("test/cat/9.png", 9)
    for table in (TABLE, TABLE + "test/cat/9.png,cat\n"):
        dataset = listed(table, test_fraction=None)
        assert levels(dataset.test_images) == [9]
        assert dataset.test_labels.tolist() == [0]
        assert len(dataset.images) == 6
    put("test/8.png", 8)
    with pytest.raises(InputError, match=r"1 of 2 files below .*no label.*8\.png"):
        listed(TABLE + "test/cat/9.png,cat\n", test_fraction=None)


def test_class_folders_keep_their_labels_unless_the_table_lists_one(put, listed):
    for name in ("cat/9.png", "cat/8.png", "owl/deep/7.png", "6.png"):
        put(f"train/{name}", int(name[-5]))
    adding = listed(TABLE, test_fraction=0.9)
    assert labelled(adding) == EXPECTED | {9: "cat", 8: "cat", 7: "owl", 6: None}
    # Of cat (4 images) and dog (2), only images in class folders are test images.
    assert set(levels(adding.test_images)) < {8, 9}
    found = labelled(listed(TABLE + "train/6.png,cat\n"))
    assert found == EXPECTED | {9: None, 8: None, 7: None, 6: "cat"}


@pytest.mark.parametrize("part", ["train", "test"])
def test_refuses_to_contradict_class_folders(put, listed, part):
    for level in (8, 9):
        put(f"{part}/cat/{level}.png", level)
    rows = f"{part}/cat/8.png,cat\n{part}/cat/9.png,dog\n"
    text = f"contradicts the class folders of 1 files: '{part}/cat/9.png' is 'dog'"
    with pytest.raises(InputError, match=text):
        listed(TABLE + rows, test_fraction=None)


FORMS = ("NFC", "NFD")


@pytest.mark.parametrize("table", FORMS)
@pytest.mark.parametrize("folder", FORMS)
def test_accents_in_two_spellings_are_one_name(put, load, listed, folder, table):
    cafe = unicodedata.normalize("NFC", "café")
    for name, level in (("train/café/9", 9), ("test/café/8", 8), ("train/owl/7", 7)):
        put(f"{unicodedata.normalize(folder, name)}.png", level)
    with pytest.warns(match="ignored folders other than .*: deeper"):
        assert labelled(load()) == {9: cafe, 8: cafe, 7: "owl"}
    rows = "filename,label\n1.png,café\n"
    adding = listed(unicodedata.normalize(table, rows), test_fraction=None)
    none = dict.fromkeys((0, 2, 3, 4, 5))
    assert labelled(adding) == {9: cafe, 8: cafe, 7: "owl", 1: cafe} | none
    rows += "train/café/9.png,{}\ntest/café/8.png,café\n"
    agreeing = unicodedata.normalize(table, rows.format("café"))
    found = labelled(listed(agreeing, test_fraction=None))
    assert found == {9: cafe, 8: cafe, 7: None, 1: cafe} | none
    with pytest.raises(InputError, match=r"folders of 1 files: 'train/.*' is 'owl'"):
        listed(unicodedata.normalize(table, rows.format("owl")), test_fraction=None)


def test_refuses_one_class_in_two_spellings(tmp_path, load):
    for form in FORMS:
        (tmp_path / "train" / unicodedata.normalize(form, "café")).mkdir(parents=True)
    with pytest.raises(InputError, match=r"has two folders 'café'.* into one"):
        load()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("", "is not a table of labels"),
        ("\n\n", "is not a table of labels"),
        ("filename,label\n", "has no rows"),
        ("file,label\n1.png,cat\n", "columns filename and label.*: 'file', 'label'"),
        (TABLE + "1.png,dog\n", "row 5 repeats a filename: '1.png'"),
        (TABLE + "./1.png,cat\n", "names 1 files twice, with different spellings"),
        (TABLE + "no.png,cat\nno2.png,cat\n", "2 of 6 files .* 'no.png'.*der.$"),
        (TABLE + "er/4.png,cat\n", "'er/4.png'.*Did you mean 'deeper/er/4.png'"),
        (TABLE + ",cat\n", "row 5 has no filename"),
        (TABLE + "a,b,c,d\n", "not a table of labels: .*Expected 2 fields in line 6"),
        ("filename,label\n1.png,cat,x\n", "in every row one value for each column"),
        ("filename,label, label\n1.png,cat,x\n", "each once"),
        ("filename,label\n1.png,\n", "has no label for any image"),
        ('filename,label\n"1.png,cat\n', "is not a table of labels"),
        (b"\xff\xfef", "byte order mark of utf-16 but is not valid utf-16"),
        (b"\x00\x01\x02\x80", "expected the columns"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*read as Latin-1")
def test_refuses_other_tables_in_one_line(listed, table, text):
    with pytest.raises(InputError, match=text) as raised:
        listed(table)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_refuses_a_table_that_does_not_exist(root, listed):
    with pytest.raises(InputError, match=r"Cannot read .*no\.csv: No such file"):
        listed(name="no.csv")
    (root / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"Cannot read .*folder\.csv: Is a directory"):
        listed(name="folder.csv")
