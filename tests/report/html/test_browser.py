"""The report in a browser: its script runs under its policy, and everything works by mouse and by keyboard."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

from tests.report.html.pages import html, trained

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no chromium and no google-chrome on PATH")
CLASSES = ("cat", "dog", "a class whose name is far too long for any column of any table, however wide it may be")
FRAME = """\
<body style="margin:0"><pre id="told"></pre>
<iframe src="page.html" style="border:0;width:{width}px;height:800px"></iframe>
<script>addEventListener("load", () => {{
  const root = document.querySelector("iframe").contentDocument.documentElement;
  document.querySelector("#told").textContent = JSON.stringify([root.scrollWidth, root.clientWidth]);
}});</script>"""


def dumped(path, width=1600):
    """The page as it is when its scripts have run."""
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"),
        *("--dump-dom", "--virtual-time-budget=3000", f"--window-size={width},900"),
        f"--user-data-dir={path.parent / 'profile'}",
    ]
    command = [BROWSER, *options, f"file://{path}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def told(folder, text, script):
    """What the script returns, run in the page after the page's own, which its policy would not allow."""
    ran = f"""<pre id="told"></pre><script>
      const options = {{ bubbles: true, cancelable: true }};
      const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", {{ key, ...options }}));
      addEventListener("load", () => setTimeout(async () => {{
        const result = await (async () => {{ {script} }})();
        document.querySelector("#told").textContent = JSON.stringify(result);
      }}, 100));
    </script></body>"""
    page = re.sub(r"script-src '.*?'", "script-src 'unsafe-inline'", text).replace("</body>", ran)
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    return json.loads(unescape(re.search(r'<pre id="told">(.*?)</pre>', dumped(file), re.DOTALL)[1]))


@pytest.fixture(scope="module")
def run():
    return trained(CLASSES, count=600)


@pytest.fixture(scope="module")
def text(run):
    return html(run)


def test_the_script_runs_under_the_policy_of_the_page(tmp_path, text):
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    assert '<html lang="en" class="js">' in dumped(file)


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_the_page_is_not_wider_than_the_window(tmp_path, width, run):
    (tmp_path / "page.html").write_text(html(run, trained(facts={"name": "x" * 80})), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    found = re.search(r'<pre id="told">\[(\d+),(\d+)\]', dumped(tmp_path / "frame.html"))
    needed, there = map(int, found.groups())
    assert needed <= there == width


def test_a_head_of_a_table_sorts_by_its_column_up_and_down(tmp_path, text, run):
    script = """
      const table = [...document.querySelectorAll("table")].find((one) => one.caption.textContent.startsWith("Scores"));
      const head = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === "recall");
      const button = table.tHead.rows[0].cells[head].querySelector("button");
      const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
      const state = () => [names(), table.tHead.rows[0].cells[head].getAttribute("aria-sort")];
      const before = names();
      button.focus();
      const focused = document.activeElement === button;
      button.click();
      const up = state();
      button.click();
      return { before, focused, up, down: state(), sorted: table.querySelectorAll("[aria-sort]").length };
    """
    found = told(tmp_path, text, script)
    rows = run.evaluation.rows()
    up, down = ([row.name for row in sorted(rows, key=lambda row: way * row.recall)] for way in (1, -1))
    assert (found["before"], found["focused"], found["sorted"]) == (list(CLASSES), True, 1)
    assert found["up"] == [up, "ascending"]
    assert found["down"] == [down, "descending"]


def test_a_cell_of_the_confusion_matrix_shows_exactly_its_images(tmp_path, text, run):
    script = """
      const tiles = () => [...document.querySelectorAll(".gallery li")].filter((tile) => !tile.hidden);
      const worst = tiles().length;
      const link = document.querySelector('figure.wide a[href="#run1-pair-1-0"]');
      link.dispatchEvent(new MouseEvent("click", options));
      await new Promise((done) => setTimeout(done, 500));
      return {
        worst,
        shown: tiles().map((tile) => tile.querySelector("img").alt),
        status: document.querySelector(".gallery .status").textContent,
        focused: document.activeElement.className,
        address: location.hash,
      };
    """
    found = told(tmp_path, text, script)
    wrong = [one for one in run.evaluation.mistakes if (one.label, one.predicted) == ("dog", "cat")]
    assert found["worst"] == 24
    assert len(wrong) > 1
    assert found["shown"] == [f"dog taken for cat with {100 * one.probability:.1f} %, row {one.index}" for one in wrong]
    assert found["status"] == f"Shown: {len(wrong)} of {len(wrong)}: dog taken for cat"
    assert (found["focused"], found["address"]) == ("status", "#run1-pair-1-0")


def test_the_list_above_the_images_chooses_among_them(tmp_path, text, run):
    script = """
      const select = document.querySelector(".gallery select");
      const count = () => [...document.querySelectorAll(".gallery li")].filter((tile) => !tile.hidden).length;
      const choose = (value) => { select.value = value; select.dispatchEvent(new Event("change")); return count(); };
      return [choose(""), choose("0-2"), choose("worst")];
    """
    confusion = run.evaluation.confusion
    assert told(tmp_path, text, script) == [len(run.evaluation.mistakes), int(confusion[0, 2]), 24]


def test_the_cells_of_the_matrix_are_one_stop_and_arrows_go_from_cell_to_cell(tmp_path, text):
    script = """
      const cells = [...document.querySelectorAll("figure.wide svg a")];
      const stops = () => cells.filter((cell) => cell.tabIndex === 0).map((cell) => cell.getAttribute("href"));
      const before = stops();
      cells[0].focus();
      press(cells[0], "ArrowDown");
      const down = document.activeElement.getAttribute("href");
      press(document.activeElement, "ArrowRight");
      return { before, down, right: document.activeElement.getAttribute("href"), after: stops() };
    """
    found = told(tmp_path, text, script)
    assert found["before"] == ["#run1-pair-0-1"]
    assert (found["down"], found["right"]) == ("#run1-pair-2-1", "#run1-pair-1-2")
    assert found["after"] == [found["right"]]


def test_the_cursor_of_a_chart_follows_pointer_and_keys(tmp_path, text):
    script = """
      const chart = document.querySelector("figure.chart[data-cursor]");
      const told = () => chart.querySelector(".told").textContent;
      const line = chart.querySelector("line.cursor");
      const first = [told(), chart.getAttribute("role"), chart.tabIndex, chart.getAttribute("aria-label")];
      press(chart, "ArrowRight");
      const right = [told(), chart.getAttribute("aria-valuetext"), chart.getAttribute("aria-valuenow")];
      press(chart, "Home");
      const home = told();
      press(chart, "ArrowLeft");
      const held = told();
      const svg = chart.querySelector("svg"), box = svg.getBoundingClientRect();
      const place = JSON.parse(chart.dataset.cursor).x[1];
      const x = box.left + place * box.width / svg.viewBox.baseVal.width + 3;
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: box.top + 50, bubbles: true }));
      return { first, right, home, held, pointed: told(), at: Number(line.getAttribute("x1")) === place };
    """
    found = told(tmp_path, text, script)
    second = "epoch 2 (best): training 0.7000 · validation 0.6000"
    third = "epoch 3: training 0.5000 · validation 0.9000"
    assert found["first"] == [second, "slider", 0, "Loss"]
    assert found["right"] == [third, third, "2"]
    assert found["home"] == found["held"] == "epoch 1: training 1.5000 · validation 1.4000"
    assert found["pointed"] == second
    assert found["at"] is True


def test_everything_that_can_be_focused_has_a_name_and_the_first_stop_skips_to_the_content(tmp_path, text):
    script = """
      const reachable = [...document.querySelectorAll("a, button, select, summary, [tabindex]")];
      const name = (element) => element.getAttribute("aria-label") || element.textContent.trim();
      const stops = reachable.filter((element) => element.tabIndex >= 0 && element.getClientRects().length);
      stops[0].focus();
      const box = stops[0].getBoundingClientRect();
      return {
        nameless: reachable.filter((element) => !name(element)).map((element) => element.outerHTML.slice(0, 99)),
        first: stops[0].getAttribute("href"),
        seen: box.left >= 0 && box.top >= 0,
      };
    """
    found = told(tmp_path, text, script)
    assert found["nameless"] == []
    assert (found["first"], found["seen"]) == ("#main", True)


def test_the_page_is_dark_on_a_dark_screen_and_light_in_print(tmp_path, text):
    script = """
      const rules = [...document.styleSheets[0].cssRules].filter((rule) => rule.media);
      return rules.map((rule) => rule.media.mediaText);
    """
    found = told(tmp_path, text, script)
    assert "screen and (prefers-color-scheme: dark)" in found
    assert "print" in found
    assert not any("dark" in media and "screen" not in media for media in found)
