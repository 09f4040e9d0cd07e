"""docs/benchmarks.md: figures as they stand on the page, what is kept, and specs of growth that are valid."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from cnncli.errors import CnncliError
from cnncli.report.benchmarks import breakdown, data, feeding, growth, machine, narrow, processes, rates, runs
from cnncli.report.benchmarks.__main__ import main
from cnncli.report.benchmarks.figures import Goal
from cnncli.report.benchmarks.page import SECTIONS, page
from cnncli.spec.init import networks
from cnncli.spec.spec import load
from tests.datasets.photos import classes

ROOT = Path(__file__).parents[2]


def said(images_per_second, others_cpus=0.0, **against):
    """What `cnncli benchmark --json` prints, as far as a page needs it; `against`: images a second and the ratio."""
    return {
        "batch_size": 128,
        "peak_gflops": 300.0,
        "gflops": 150.0,
        "images_per_second": images_per_second,
        "others_cpus": others_cpus,
        "against": {
            name: {
                "variant": "float32, a way",
                "images_per_second": theirs,
                "ratio": ratio,
                "ratio_range": [ratio - 0.5, ratio + 0.25],
            }
            for name, (theirs, ratio) in against.items()
        },
    }


def rows(lines):
    """The cells of a table's rows, without its head."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in cells[1:] if not set("".join(row)) <= set("-:")]


def test_goals_are_met_where_they_are_reached_exactly():
    assert Goal(1.4, 1.8).cells(1.4) == ["≥ 1.4 × ✓", "≥ 1.8 × ✗"]
    assert Goal(1.4, 1.8).cells(1.39) == ["≥ 1.4 × ✗", "≥ 1.8 × ✗"]
    assert Goal(0.5, below=True).cells(0.5) == ["≤ 0.5 × ✓", ""]
    assert Goal(0.5, below=True).cells(0.51) == ["≤ 0.5 × ✗", ""]


def test_training_has_a_row_for_each_opponent():
    figures = {
        "mnist-128": said(28153.6, torch=(4500.2, 6.256), tensorflow=(12000.0, 2.346)),
        "vgg_small-128": said(1200.0, torch=(650.0, 1.846)),
    }
    lines = rates.render_training(figures)
    assert rows(lines) == [
        ["mnist", "128", "28,154", "PyTorch (a way)", "4,500", "6.26 ×", "5.76 – 6.51", "≥ 3.5 × ✓", "≥ 5 × ✓"],
        [
            "mnist",
            "128",
            "28,154",
            "Keras, TensorFlow (a way)",
            "12,000",
            "2.35 ×",
            "1.85 – 2.60",
            "≥ 2.5 × ✗",
            "≥ 4 × ✗",
        ],
        ["vgg_small", "128", "1,200", "PyTorch (a way)", "650", "1.85 ×", "1.35 – 2.10", "≥ 1.4 × ✓", "≥ 1.8 × ✓"],
    ]
    assert "cnncli benchmark configs/mnist.yaml --batch-size 128 --against torch,tensorflow" in lines


def test_torch_compile_is_one_of_the_ways_of_pytorch_and_its_time_is_told():
    figures = {key: said(1200.0, torch=(650.0, 1.846)) for key in ("vgg_small-128", "resnet20-128")}
    seconds = {"float32, default": 1.0, "float32, default, compiled": 31.2, "float32, channels_last, compiled": 29.0}
    figures["vgg_small-128"]["against"]["torch"] |= {"variant": list(seconds)[1], "seconds_to_start": seconds}
    lines = rates.render_training(figures)
    assert [row[3] for row in rows(lines)] == ["PyTorch (default, compiled)", "PyTorch (a way)"]
    assert "cnncli benchmark configs/vgg_small.yaml --batch-size 128 --against torch --compile" in lines
    assert "cnncli benchmark configs/resnet20.yaml --batch-size 128 --against torch" in lines
    assert "torch.compile took 31 s (vgg_small, 128) until its first steps were done." in lines


@pytest.mark.parametrize(("compiler", "options"), [("true", ["--compile"]), ("no-such-compiler", [])])
def test_torch_compile_counts_where_there_is_a_compiler(monkeypatch, compiler, options):
    monkeypatch.setenv("CXX", compiler)
    assert runs.compiling() == options


def test_inference_is_told_in_microseconds_an_image():
    figures = {
        "mnist-256": said(50000.0, onnxruntime=(40000.0, 1.25)),
        "mnist-1": said(16000.0, onnxruntime=(20000.0, 0.8)),
    }
    lines = rates.render_inference(figures)
    assert rows(lines) == [
        ["mnist", "256", "20.0", "ONNX Runtime (a way)", "25.0", "1.25 ×", "0.75 – 1.50", "≥ 1.2 × ✓", "≥ 1.5 × ✗"],
        ["mnist", "1", "62.5", "ONNX Runtime (a way)", "50.0", "0.80 ×", "0.30 – 1.05", "≥ 1.2 × ✗", "≥ 1.5 × ✗"],
    ]
    assert "cnncli benchmark configs/mnist.yaml --batch-size 1 --against onnxruntime --inference" in lines


def test_a_network_on_images_of_another_size_is_told_with_it():
    key = next(match.key for match in rates.INFERENCE if match.side and match.batch_size == 1)
    lines = rates.render_inference({key: said(250.0, onnxruntime=(200.0, 1.25))})
    assert rows(lines)[0][:3] == ["networks/mobilenetv2, 160 × 160", "1", "4000.0"]
    assert lines[1] == (
        "cnncli benchmark configs/networks/mobilenetv2.yaml --set 'model.input_shape=[160, 160, 3]' --batch-size 1 "
        "--against onnxruntime --inference"
    )


@pytest.mark.parametrize("match", [*rates.TRAINING, *rates.INFERENCE, *narrow.TRAINING], ids=lambda match: match.key)
def test_a_match_is_of_a_spec_that_there_is_with_images_of_its_side(match):
    path, *options = match.arguments
    changes = [value for option, value in pairwise(options) if option == "--set"]
    spec = load(ROOT / path, changes, check_data=False)
    assert spec.model.input_shape[0] == match.side or not (changes or match.side)


def test_bfloat16_is_held_against_our_float32_and_the_best_of_a_peer():
    variants = {"float32, a": 400.0, "float32, b": 500.0, "bf16, a": 1600.0, "bf16, b, compiled": 900.0}
    document = said(2400.0, torch=(1600.0, 1.5))
    document["against"]["torch"] |= {"variants": variants, "seconds_to_start": dict.fromkeys(variants, 12.0)}
    lines = narrow.render_training({"vgg_small-128": {"float32": said(2000.0), "bf16": document}})
    assert rows(lines) == [
        ["vgg_small", "128", "2,000", "500", "2,400", "1,600", "1.20 ×", "≥ 1.3 × ✗", "1.50 ×", "1.00 – 1.75"]
    ]
    assert lines[1:3] == [
        "cnncli benchmark configs/vgg_small.yaml --batch-size 128",
        "cnncli benchmark configs/vgg_small.yaml --batch-size 128 --dtype bf16 --against torch --compile",
    ]
    assert "torch.compile took 12 s (vgg_small, 128) until its first steps were done." in lines

    document = said(100_000.0, 0.5, openvino=(80_000.0, 1.25))
    document["against"]["openvino"]["variants"] = {"float32": 40_000.0, "bf16": 80_000.0}
    lines = narrow.render_inference({"mnist-256": {"float32": said(50_000.0), "bf16": document}})
    assert rows(lines) == [["mnist", "256", "20.0", "25.0", "10.0", "12.5", "2.00 ×", "1.25 ×", "0.75 – 1.50"]]
    assert "cnncli benchmark configs/mnist.yaml --batch-size 256 --inference --dtype bf16 --against openvino" in lines
    assert "Other processes kept up to 0.5 CPUs busy meanwhile: these figures are worth little." in lines


def test_the_rates_that_init_shows_are_those_of_the_page(monkeypatch, tmp_path):
    measured = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    figures = measured["networks"]["figures"]
    machine, shown = networks.rates()
    assert machine == "{cores} cores, {cpu}".format(**measured["machine"]["figures"])
    assert shown.keys() == {name for name, choice in networks.MODELS.items() if choice.file}
    assert {shown["resnet18"], shown["vgg"]} == {
        figures[name]["images_per_second"] for name in ("networks/resnet18-4", "vgg_small-32")
    }
    monkeypatch.setattr(rates, "RATES", tmp_path / "rates.json")
    monkeypatch.setattr(networks, "RATES", tmp_path / "rates.json")
    rates.keep_rates({"networks/vgg16-4": said(3.5), "resnet20-32": said(900.0)}, "a machine")
    assert networks.rates() == ("a machine", {"resnet20": 900.0, "vgg16": 3.5})


def test_networks_have_a_row_each_with_small_rates_told_exactly():
    lines = rates.render_networks({"networks/vgg16-4": said(3.54, torch=(2.0, 1.77))})
    cells = ["networks/vgg16", "4", "3.5", "PyTorch (a way)", "2.0", "1.77 ×", "1.27 – 2.02", "≥ 1 × ✓", "≥ 1.8 × ✗"]
    assert rows(lines) == [cells]


def test_the_share_of_the_peak_is_that_of_whole_steps():
    lines = rates.render_share({"vgg_small": {**said(900.0), "gflops": 200.0}})
    assert rows(lines) == [["vgg_small", "200.0", "300.0", "66.7 %", "≥ 65 % ✓", "≥ 80 % ✗"]]


def test_two_threads_are_held_against_one_turn_by_turn():
    def turn(images_per_second, peak):
        return {"images_per_second": images_per_second, "peak_gflops": peak}

    one, two = [turn(100.0, 10.0), turn(200.0, 10.0)], [turn(180.0, 19.0), turn(320.0, 20.0)]
    # The median of 1.8 and 1.6, not the ratio of the medians; of the peaks that of 1.9 and 2.
    cells = rows(rates.render_threads({"mnist": {"1": one, "2": two}}))
    assert cells == [["mnist", "150", "250", "1.70 ×", "1.95 ×", "≥ 1.75 × ✗"]]


def test_start_and_memory_are_medians_and_are_to_be_small():
    figures = {
        "seconds": {"cnncli": [0.9, 0.7, 0.8], "torch": [2.0, 1.6, 9.0]},
        "memory": {"cnncli": [200e6], "torch": [400e6]},
    }
    start, memory = rows(processes.render(figures))
    assert start[1:] == ["0.80 s", "2.00 s", "0.40 ×", "≤ 0.5 × ✓"]
    assert memory[1:] == ["200 MB", "400 MB", "0.50 ×", "≤ 0.45 × ✗"]


def test_a_breakdown_adds_up_operations_of_a_kind():
    def layer(operation, direction, seconds):
        return {"operation": operation, "pass": direction, "seconds": seconds}

    layers = [layer("Conv2D", "forward", 2e-3), layer("Conv2D", "backward", 5e-3), layer("Conv2D", "forward", 1e-3)]
    found = breakdown.sums({"images_per_second": 10.0, "others_cpus": None, "layers": layers})
    assert found["kinds"]["Conv2D, forward"] == {"count": 2, "seconds": 3e-3}

    then = {"images_per_second": 8.0, "others_cpus": 1.5, "kinds": {"Relu, forward": {"count": 3, "seconds": 4e-3}}}
    figures = {"before": {"commit": "abc1234", "specs": {"mnist": then}}, "now": {"mnist": found}}
    lines = breakdown.render(figures)
    assert rows(lines) == [
        ["Conv2D, backward", "–", "5.00", "62.5 %"],
        ["Conv2D, forward", "–", "3.00", "37.5 %"],
        ["Relu, forward", "4.00", "–", "–"],
        ["all", "4.00", "8.00", "100.0 %"],
    ]
    assert "Whole steps: 10 images/s; 8 before, at abc1234." in lines
    assert "Before: other processes kept up to 1.5 CPUs busy meanwhile: these figures are worth little." in lines


def test_data_is_told_in_three_tables():
    turns = [
        {"plain": 100.0, "augmented": 99.0},
        {"plain": 200.0, "augmented": 188.0},
        {"plain": 50.0, "augmented": 48},
    ]
    batches = [
        {"cnncli": 300.0, "torch-0": 100.0, "torch-2": 200.0},
        {"cnncli": 500.0, "torch-0": 100.0, "torch-2": 200},
    ]
    run = {"seconds": 61.26, "memory": 601e6, "images_per_second": [1000.0, 12000.4, 12345.6]}
    figures = {"cost": {"mnist": turns}, "batches": batches, "folder": {"kernels": 13000.0, "runs": {"cold": run}}}
    lines = data.render(figures)
    assert [row for row in rows(lines) if row[-1][-1:] in ("✓", "✗")] == [
        ["mnist", "100", "99", "4.0 %", "≤ 5 % ✓"],  # of 1, 6 and 4 %
        ["DataLoader, no workers", "400", "100", "4.00 ×", "≥ 2 × ✓"],
        ["DataLoader, 2 workers", "400", "200", "2.00 ×", "≥ 2 × ✓"],
        ["cold", "61.3 s", "1,000", "12,000", "12,346", "601 MB", "≤ 600 MB ✗"],
    ]
    assert any("the kernels train 13,000 images/s" in line for line in lines)


def test_turns_alternate_and_the_first_does_not_count():
    said = []
    work = {name: lambda name=name: said.append(name) or 10 for name in "ab"}
    turns = list(feeding.in_turns(work, 2))
    assert said == list("ababab")
    assert [set(turn) for turn in turns] == [{"a", "b"}] * 2


def test_the_spec_of_the_folder_is_valid(tmp_path):
    classes(tmp_path / "photos", names=[f"class{i}" for i in range(10)])
    (tmp_path / "folder.yaml").write_text(data.SPEC, encoding="utf-8")
    assert load(tmp_path / "folder.yaml").fit.epochs == data.EPOCHS


def test_growth_is_told_in_microseconds_an_image_beside_its_picture():
    documents = {"16": said(10000.0, torch=(2500.0, 4.0)), "1024": said(20000.0, torch=(5000.0, 4.0))}
    assert growth.curves(documents) == {"cnncli": [(16, 100.0), (1024, 50.0)], "PyTorch": [(16, 400.0), (1024, 200.0)]}
    lines = growth.render({"batch": documents})
    assert rows(lines) == [["16", "100.0", "400.0", "4.00 ×"], ["1,024", "50.0", "200.0", "4.00 ×"]]
    assert "![Time of a training step by batch size (images)](benchmarks_batch.svg)" in lines


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, axis in growth.AXES.items() for value in axis.values]
)
def test_the_specs_of_growth_are_valid(name, value, tmp_path):
    path = tmp_path / "growth.yaml"
    path.write_text(growth.AXES[name].spec(value), encoding="utf-8")
    shape = {"batch": (28, 28, 1), "channels": (16, 16, value), "image": (value, value, 3)}[name]
    spec = load(path)
    assert spec.model.input_shape == shape


def test_caches_are_read_as_linux_tells_them(tmp_path):
    for number, (level, kind, size) in enumerate([("1", "Data", "32K"), ("2", "Unified", "1024K")]):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n", encoding="ascii")
    assert machine.caches(tmp_path) == ["L1d 32K", "L2 1024K"]


def test_a_process_counts_the_memory_that_it_holds_and_the_time_that_it_takes():
    """Measured by a small process, as on the command line: the tests' own is as large as what is measured here."""
    large = "import time; held = b'x' * 300_000_000; time.sleep(0.3)"
    code = f"from cnncli.report.benchmarks.runs import usage; print(*usage('-c', 'pass'), *usage('-c', {large!r}))"
    _, small, seconds, memory = map(float, runs.output("-c", code).split())
    assert 290e6 < memory - small < 310e6
    assert seconds > 0.3


def test_the_first_step_is_that_of_a_training_that_has_begun(tmp_path):
    run = tmp_path / "run"
    runs.output(*processes.FIRST_STEP, "configs/mnist.yaml", "--quiet", "--output", str(run))
    assert (run / "last.safetensors").stat().st_size > 225_034 * 4  # the first weights are saved
    assert (run / "metrics.jsonl").read_text(encoding="utf-8") == ""  # no epoch is done
    assert not (run / "best.safetensors").exists()


def test_a_process_that_fails_is_told_by_its_last_line():
    with pytest.raises(CnncliError, match=r"^python -c .*: no such spec$"):
        runs.output("-c", "import sys; print('…'); sys.exit('first line\\nError: no such spec')")
    with pytest.raises(CnncliError, match="it ended with exit code 3"):
        runs.usage("-c", "import sys; sys.exit(3)")


def test_a_page_says_what_is_not_measured_and_ends_with_the_notes():
    text = page({"share": {"date": "2026-01-02", "rounds": 1, "figures": {"vgg_small": said(9.0)}}}, "## By hand\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        *(f"## {section.title}" for section in SECTIONS.values()),
        "## By hand",
    ]
    assert "Measured on 2026-01-02, 1 round." in text
    assert "Not measured yet: `python -m cnncli.report.benchmarks docs --only growth`." in text
    assert text.endswith("## By hand\n")


def test_sections_that_fail_or_are_not_asked_for_keep_their_figures(tmp_path, monkeypatch):
    def fail(rounds):
        raise CnncliError("torch is not installed")

    kept = {"date": "2026-01-02", "rounds": 7, "figures": {"mnist-128": said(30000.0, torch=(5000.0, 6.0))}}
    kept["figures"]["mnist-128"]["against"]["tensorflow"] = kept["figures"]["mnist-128"]["against"]["torch"]
    raw = tmp_path / "benchmarks.json"
    raw.write_text(json.dumps({"training": kept}), encoding="utf-8")
    monkeypatch.setitem(SECTIONS, "growth", SECTIONS["growth"]._replace(measure=fail))
    monkeypatch.setitem(SECTIONS, "share", SECTIONS["share"]._replace(measure=lambda rounds: {"vgg_small": said(9.0)}))
    done = CliRunner().invoke(main, [str(tmp_path), "--only", "growth,share", "--rounds", "3"])
    assert done.exit_code == 1
    assert "growth keeps the figures it had: torch is not installed" in done.output
    measured = json.loads(raw.read_text(encoding="utf-8"))
    assert measured["training"] == kept
    assert measured["share"]["rounds"] == 3
    assert "growth" not in measured
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| mnist | 128 | 30,000 | PyTorch (a way) |" in text
    assert "| vgg_small | 150.0 | 300.0 | 50.0 % |" in text


def test_a_section_that_is_not_known_is_refused_before_anything_is_measured(tmp_path):
    done = CliRunner().invoke(main, [str(tmp_path), "--only", "machine,growht"])
    assert done.exit_code == 2
    assert "received 'growht'" in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_process_that_measures_stays_small():
    """What it holds counts as part of every process that it starts."""
    code = "import sys, cnncli.report.benchmarks.__main__; print({'numpy', 'numba', 'PIL'} & set(sys.modules))"
    assert runs.output("-c", code).strip() == "set()"
