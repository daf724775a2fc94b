"""The README's results are what the command makes of benchmarks/results."""

import pathlib

import pytest

from benchmarks import readme
from color_s4l.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_readme_is_what_the_command_writes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    made = readme.shown(readme.RESULTS)
    assert readme.replaced(text, made) == text, "run python -m benchmarks.readme"


def test_every_result_file_and_every_row_is_in_it():
    rows = readme.results(readme.RESULTS)
    assert {"demo.csv", "cifar10_1000_narrow.csv"} <= set(rows["file"])
    assert "demo_colorizer.csv" not in set(rows["file"])  # no error rates
    text = readme.section(rows, readme.costs(readme.RESULTS))
    # 64.75, 68.75, 69.25 in demo.csv: mean 67.5833, and the published number beside.
    assert "| 67.58 ± 2.47 (3)" in text
    assert "| 18.45 ± 0.26 (4), Chen 2020, table 1" in text
    for path in set(rows["file"]):
        assert f"(benchmarks/results/{path})" in text


def test_costs_stand_beside_the_errors_where_all_are_known(tmp_path):
    rows = readme.results(readme.RESULTS).query("file == 'demo.csv'")
    assert readme.costs(tmp_path).empty
    header = "network,method,step_to_supervised,memory_to_supervised\n"
    lines = "convnet,supervised,1,1\nconvnet,sesemi,1.849,1.2\nnin,color_s4l,9,9\n"
    (tmp_path / "costs.csv").write_text(header + lines)
    assert "step" not in readme.section(rows, readme.costs(tmp_path))
    lines += "convnet,color_s4l,1.95,1.25\n"
    (tmp_path / "costs.csv").write_text(header + lines + lines)
    with pytest.raises(InputError, match="each method once"):
        readme.costs(tmp_path)
    (tmp_path / "costs.csv").write_text(header + lines)
    text = readme.section(rows, readme.costs(tmp_path))
    (line,) = [line for line in text.splitlines() if "sesemi" in line]
    assert [word.strip() for word in line.split("|")[-3:-1]] == ["1.85 x", "1.20 x"]


def test_frameworks_stand_side_by_side(tmp_path):
    names = "network,method,dtype_policy,backend,images_per_second,ratio_to_torch,"
    names += "process_MB,width,image_size,batch_size,hardware,versions,date\n"
    same = '1,32,8,2 cores,"keras 3, torch 2, jax 1",2026-11-20\n'
    lines = [
        f"nin,sesemi,float32,jax,1000.04,0.5,800,{same}",
        f"nin,sesemi,float32,torch,2000,1,1400,{same}",
        f"encoder,sesemi,float32,jax,30,,70,{same}",
        f"vgg16,sesemi,float32,jax,,,,{same}",
    ]
    (tmp_path / "speed.csv").write_text(names + "".join(lines))
    (tmp_path / "costs.csv").write_text(names + lines[2])  # nothing to compare with
    heading, table = readme.speeds(tmp_path)
    assert "Width 1, 32 x 32 px, 8 unlabelled" in heading
    assert "2 cores; keras 3, torch 2, jax 1; 2026-11-20. [speed.csv](" in heading
    cells = [[word.strip() for word in line.split("|")] for line in table.splitlines()]
    assert cells[0][4:9] == [
        "JAX, images/s",
        "PyTorch, images/s",
        "ours, of PyTorch's",
        "JAX, MB",
        "PyTorch, MB",
    ]
    assert cells[2][4:9] == ["1,000.0", "2,000.0", "0.50 x", "800", "1,400"]
    assert cells[3][4:9] == ["30.0", "–", "–", "70", "–"]
    assert len(cells) == 4
    (tmp_path / "speed.csv").write_text(names + "".join(lines[:2] * 2))
    text = r"speed\.csv: .*each case once; nin sesemi float32 jax stands twice"
    with pytest.raises(InputError, match=text):
        readme.speeds(tmp_path)


def test_only_what_is_between_the_marks_is_replaced(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nsuperseded\n{readme.END}\nafter\n")
    assert readme.main([f"--readme={path}"]) == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{readme.BEGIN}\n")
    assert text.endswith(f"{readme.END}\nafter\n")
    assert "superseded" not in text


@pytest.mark.parametrize("text", ["nothing", readme.BEGIN, readme.END])
def test_refuses_a_readme_without_the_marks(text):
    with pytest.raises(InputError, match="needs the lines"):
        readme.replaced(text, "new")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--readme=none.md"], "No such file"),
        (["--results=none"], "holds no table of error rates"),
        (["--results=docs"], "holds no table of error rates"),
        (["--file=README.md"], "Unknown command line flag"),
        (["README.md"], "Expected flags"),
    ],
)
def test_a_slip_is_one_line(flags, text, refused):
    assert text in refused(readme.main(flags))
