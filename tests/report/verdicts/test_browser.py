"""The page in Chromium: by pointer and keyboard, wide and narrow, light and dark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jurat.judge import PRESETS, Verdict, verdict_to_row
from jurat.report import compare_reports, write_report
from jurat.report.verdicts.redecide_scores import freedom, retry

from ..conftest import LOOKED_AT, NOT_RELEVANT

pytestmark = pytest.mark.browser


@pytest.fixture
def path(verdict, record, tmp_path) -> Path:
    out = tmp_path / "page.html"
    names = {
        "a/red.png": "unsafe",
        "a/x.png": "unsafe",
        "b/y.png": "unsure",
        "b/z.png": "safe",
        "b/w.png": "safe",
    }
    verdicts = [verdict(name, outcome) for name, outcome in names.items()]
    source = record(*verdicts, verdict("c/cut.png", "error", image=None))
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    for n, row in enumerate(rows):
        row["columns"] = {"city": ["Bern", "Rome"][n % 2]}
    rows[0]["rules"] = [json.loads(r.model_dump_json()) for r in (LOOKED_AT, NOT_RELEVANT)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_report(source, out)
    return out


@pytest.fixture
def opened(browser) -> Iterator[Callable[..., Any]]:
    """Opens pages from files; fails if one asked for anything that is not its own, or complained."""
    contexts, asked, said = [], [], []

    def open_(path: Path, **options: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "offline": True, **options}
        )
        contexts.append(context)
        page = context.new_page()
        own = (path.as_uri(), f"{path.parent.as_uri()}/{path.stem}_files/", f"{path.parent.as_uri()}/files/")
        page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("data:", *own)) else None)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        page.wait_for_function(
            "() => ![...document.querySelectorAll('.why')].some(e => e.textContent === '…')"
        )
        return page

    yield open_
    for context in contexts:
        context.close()
    assert (asked, said) == ([], [])


@pytest.fixture
def page(opened, path) -> Any:
    return opened(path)


def shown(page) -> list[str]:
    return page.locator(".card").evaluate_all("all => all.map(c => c.querySelector('.name').title)")


def bare(page) -> list[str]:
    page.wait_for_function("() => document.getAnimations().length === 0")
    return page.locator(".picture img").evaluate_all(
        "all => all.filter(i => !getComputedStyle(i).filter.includes('blur')).map(i => i.alt.split(',')[0])"
    )


def status(page) -> str:
    return page.locator(".filters [role=status]").inner_text()


def press(page, key: str, times: int = 1) -> None:
    for _ in range(times):
        page.keyboard.press(key)


def tab_to(page, label: str, key: str = "Tab") -> None:
    """Goes there by keyboard alone."""
    for _ in range(80):
        page.keyboard.press(key)
        named = "(e => e.getAttribute('aria-label') ?? e.textContent)(document.activeElement)"
        if page.evaluate(named).strip().startswith(label):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    pytest.fail(f"{label} was not reached with {key}")


def test_pictures_are_blurred_and_shown_one_at_a_time(page):
    assert bare(page) == []
    page.get_by_role("button", name="Show picture of x.png").click()
    assert bare(page) == ["x.png"]
    page.get_by_role("button", name="Show picture of red.png").click()
    assert bare(page) == ["red.png"]
    veil = page.get_by_role("button", name="Show picture of red.png")
    assert veil.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert bare(page) == [] and veil.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_picture_can_be_shown_by_keyboard(page, key):
    tab_to(page, "Show picture of red.png")
    page.keyboard.press(key)
    assert bare(page) == ["red.png"]


def test_pictures_can_be_shown_in_greyscale(page):
    page.get_by_role("button", name="Greyscale").click()
    page.wait_for_function("() => document.getAnimations().length === 0")
    filters = page.locator(".picture img").evaluate_all("all => all.map(i => getComputedStyle(i).filter)")
    assert all("grayscale(1)" in one and "blur" in one for one in filters)
    page.get_by_role("button", name="Show picture of x.png").click()
    assert bare(page) == ["x.png"]


def test_gallery_filters_by_outcome_rule_reason_score_column_and_name(page):
    assert shown(page)[:2] == ["a/red.png", "a/x.png"] and status(page) == "6 shown"
    unsafe = page.get_by_role("button", name="unsafe 2")
    unsafe.click()
    assert sorted(shown(page)) == ["a/red.png", "a/x.png"] and status(page) == "2 of 6 shown"
    page.get_by_role("button", name="error 1").click()
    assert sorted(shown(page)) == ["a/red.png", "a/x.png", "c/cut.png"]
    page.get_by_role("searchbox").fill("RED")
    assert shown(page) == ["a/red.png"]
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("() => document.querySelectorAll('.card').length === 6")
    page.get_by_role("combobox", name="Rule").select_option(label="fire")
    assert shown(page) == ["b/y.png"]
    page.get_by_role("combobox", name="Rule").select_option(label="any")
    page.get_by_role("combobox", name="Reason").select_option(label="margin")
    assert shown(page) == ["b/y.png"]
    page.get_by_role("combobox", name="Reason").select_option(label="any")
    page.get_by_role("combobox", name="Stage").select_option(label="reason")
    assert shown(page) == ["a/red.png"]
    page.get_by_role("combobox", name="Stage").select_option(label="any")
    page.get_by_label("Score from").fill("0.4")
    page.get_by_label("Score up to").fill("0.6")
    assert shown(page) == ["b/y.png"]
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("combobox", name="city").select_option(label="Rome")
    assert sorted(shown(page)) == ["a/x.png", "b/z.png", "c/cut.png"]
    page.get_by_role("searchbox").fill("nothing is called this")
    assert shown(page) == [] and page.get_by_text("No image is left under these filters.").is_visible()
    page.get_by_role("searchbox").press("Enter")
    assert page.url.endswith("page.html")


def test_gallery_is_sorted(page):
    order = page.get_by_role("combobox", name="Sort")
    order.select_option(label="by name")
    assert shown(page) == sorted(shown(page))
    order.select_option(label="highest score")
    assert shown(page)[:3] == ["a/red.png", "a/x.png", "b/y.png"] and shown(page)[-1] == "c/cut.png"
    order.select_option(label="least certain")
    assert shown(page)[0] == "b/y.png"
    order.select_option(label="as recorded")
    assert shown(page)[:2] == ["a/red.png", "a/x.png"] and shown(page)[-1] == "c/cut.png"


def test_card_shows_rule_score_boxes_and_explanation(page):
    card = page.locator(".card").first
    told = card.inner_text()
    for part in ("unsafe", "red.png", "blade", "0.90", "broken, high", "It breaks blade"):
        assert part in told
    assert card.locator(".regions text").text_content() == "axe"
    box = card.locator(".regions rect").bounding_box()
    frame = card.locator(".picture").bounding_box()
    assert frame["x"] < box["x"] and box["x"] + box["width"] < frame["x"] + frame["width"]
    assert card.locator(".regions").get_attribute("aria-label") == "Seen: axe"


def test_opened_item_shows_evidence_and_steps_to_neighbours(page):
    page.locator(".card").first.get_by_role("button", name="Evidence").click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading", level=2).inner_text().split() == ["unsafe", "a/red.png"]
    row = dialog.get_by_role("row", name="It touches an axe.")
    cells = [cell.strip() for cell in row.get_by_role("cell").all_inner_texts() if cell.strip()]
    assert [one.replace("\n", " ") for one in cells] == ["holds by reason", "0.90", "0.30", "0.98"]
    said = dialog.inner_text()
    assert "reasoning: Yes, The <axe> is in the child's hand." in said
    assert "with axe painted over 0.35" in said and "city" in said and "Bern" in said
    dialog.get_by_text("fire").click()
    assert "the image resembles the rule by 0.11 only" in dialog.inner_text()
    assert bare(page) == []
    press(page, "b")
    assert bare(page) == ["red.png"]
    press(page, "ArrowRight")
    assert dialog.locator(".place").inner_text() == "2 of 6" and bare(page) == []
    press(page, "ArrowLeft", 3)
    assert dialog.locator(".place").inner_text() == "1 of 6"
    press(page, "Escape")
    assert not dialog.is_visible()
    assert "red.png" in page.evaluate("document.activeElement.textContent")


def test_page_is_usable_by_keyboard_alone(page):
    tab_to(page, "unsafe 2")
    press(page, "Enter")
    assert len(shown(page)) == 2
    tab_to(page, "Evidence of red.png")
    press(page, "Enter")
    tab_to(page, "Next item")
    press(page, "Enter")
    assert page.get_by_role("dialog").locator(".place").inner_text() == "2 of 2"
    press(page, "Escape")
    tab_to(page, "broken above, of blade", "Shift+Tab")
    press(page, "ArrowRight", 3)
    assert page.evaluate("document.activeElement.value") == "0.83"


def test_moved_thresholds_show_what_would_change(page, path):
    trial = page.locator("#trial")
    above = page.get_by_label("broken above, of blade")
    assert (above.input_value(), trial.locator("textarea").is_visible()) == ("0.8", False)
    above.fill("0.95")
    page.wait_for_function("() => !document.querySelector('.tools').hidden")
    # Of the two that break it, one stays: its last word was reasoning's.
    assert "broken 2 → 1 · undecided 0 → 1 · kept 3" in trial.inner_text()
    assert trial.locator("p[role=status]").inner_text() == (
        "1 verdict changes: unsafe 2 → 1, unsure 1 → 2, error 1, safe 2."
    )
    yaml = '  - id: "blade"\n    keep_below: 0.2\n    break_above: 0.95\n'
    assert trial.locator("textarea").input_value() == f"rules:\n{yaml}"
    assert page.locator(".chip.would").inner_text() == "would be unsure"
    trial.get_by_role("button", name="Show what changes").click()
    assert shown(page) == ["a/x.png"]
    assert "broken, would be undecided, high" in page.locator(".card").inner_text()
    with page.expect_download() as download:
        trial.get_by_role("button", name="Download YAML").click()
    assert Path(download.value.path()).read_text() == f"rules:\n{yaml}"
    trial.get_by_role("button", name="As it was judged").click()
    page.wait_for_function("() => document.querySelector('.tools').hidden")
    assert len(shown(page)) == 6 and "broken 2 · undecided 0 · kept 3" in trial.inner_text()


def test_threshold_moved_past_the_other_moves_both(page):
    page.get_by_label("kept below, of fire").fill("0.9")
    page.wait_for_function("() => !document.querySelector('.tools').hidden")
    assert page.get_by_label("broken above, of fire").input_value() == "0.9"


def test_script_decides_under_thresholds_as_python_does(opened, verdict, record, tmp_path):
    verdicts = [verdict(f"{n}.png", o, image=None) for n, o in enumerate(["unsafe", "unsure", "safe"] * 4)]
    varied: list[Verdict] = []
    for n, one in enumerate(verdicts):
        score = n / 12
        outcome = "broken" if score > 0.8 else "kept" if score < 0.2 else "undecided"
        finding = one.rules[0].model_copy(
            update={
                "score": score,
                "outcome": outcome,
                "reason": "margin" if outcome == "undecided" else None,
                "clauses": one.rules[0].clauses[:1],
            }
        )
        item = {"broken": "unsafe", "kept": "safe", "undecided": "unsure"}[outcome]
        varied.append(one.model_copy(update={"rules": (finding,), "outcome": item}))
    out = tmp_path / "many.html"
    write_report(record(*varied), out)
    page = opened(out)
    tried = page.evaluate(
        """() => [[0.1, 0.3], [0.5, 0.5], [0.25, 0.75], [0, 1]].map(([keep, above]) => {
          const [rule] = jurat.table.rules;
          rule.tried = { keep, break: above };
          jurat.retryRule(rule);
          return Array.from(rule.now, (code) => jurat.table.ruleOutcomes[code]);
        })"""
    )
    assert PRESETS["quick"].setting("break_above") == 0.8
    for (keep, above), outcomes in zip([(0.1, 0.3), (0.5, 0.5), (0.25, 0.75), (0, 1)], tried, strict=True):
        found = [retry(v.rules[0], freedom(v.rules[0], PRESETS["quick"]), keep, above) for v in varied]
        assert outcomes == found


def test_preset_without_thresholds_has_no_sliders(opened, verdict, record, tmp_path):
    write_report(record(verdict("a.png", "unsafe", preset="clue")), tmp_path / "page.html")
    page = opened(tmp_path / "page.html")
    assert page.locator("input[type=range]").count() == 0
    assert "decides by the paper's constants" in page.locator("#trial").inner_text()
    assert page.locator(".histogram").count() == 2


def test_pictures_of_any_shape_fit_their_frames(opened, verdict, record, tmp_path):
    sizes = [(480, 480), (100, 480), (480, 60), (16, 16)]
    out = tmp_path / "shapes.html"
    verdicts = [verdict(f"{n}.png", image=size) for n, size in enumerate(sizes)]
    write_report(record(*verdicts), out)
    page = opened(out)
    for picture in page.locator(".picture").all():
        frame, image = picture.bounding_box(), picture.locator("img").bounding_box()
        assert image["y"] >= frame["y"] and image["y"] + image["height"] <= frame["y"] + frame["height"] + 1
        assert image["x"] >= frame["x"] and image["x"] + image["width"] <= frame["x"] + frame["width"] + 1


def test_page_has_landmarks_and_headings(page):
    for role in ("banner", "main", "contentinfo", "search"):
        assert page.get_by_role(role).count() == 1, role
    names = ["Rules", "Images", "Scores, and other thresholds", "Not decided, and why", "How it was judged"]
    assert page.get_by_role("heading", level=2).all_inner_texts() == names
    title = page.get_by_role("heading", level=1).inner_text().replace("\n", " ")
    assert title == "2 of 6 images break a rule."
    assert all(page.locator("img").evaluate_all("all => all.map(i => i.alt.length > 0)"))


HOSTILE = "</script><img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def test_script_from_a_record_is_not_run(opened, verdict, record, tmp_path):
    one = verdict("a.png", "unsafe", id=HOSTILE, model=HOSTILE, note=HOSTILE)
    looked = json.loads(
        json.dumps(verdict_to_row(one.model_copy(update={"rules": (LOOKED_AT,)}))).replace(
            "The <axe> is in the child's hand.", HOSTILE.replace("'", "`")
        )
    )
    looked["columns"] = {HOSTILE: HOSTILE}
    other = verdict_to_row(verdict("b.png", image=None)) | {"columns": {HOSTILE: "other"}}
    source = tmp_path / "hostile.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in (looked, other)))
    write_report(source, tmp_path / "hostile.html")
    page = opened(tmp_path / "hostile.html")
    page.locator(".card").first.get_by_role("button", name="Evidence").click()
    page.get_by_role("dialog").get_by_text("reasoning: Yes, </script><img").wait_for()
    assert "owned" not in page.title().split("·")[0]
    assert page.locator(".card h3").first.inner_text().endswith(HOSTILE)
    assert page.locator("img").count() == 2  # the card's and the opened item's
    assert page.locator("[onerror]").count() == 0


def test_trusted_types_refuse_text_as_script(browser, path):
    page = browser.new_page()
    page.goto(path.as_uri())
    refused = page.evaluate(
        """() => ["innerHTML", "outerHTML"].map((sink) => {
          try { document.querySelector("footer p")[sink] = "<b>x</b>"; return "taken"; }
          catch (error) { return error.constructor.name; }
        })"""
    )
    assert refused == ["TypeError", "TypeError"]
    page.close()


@pytest.fixture
def large(verdict, tmp_path) -> Path:
    """5,000 rows, of which every 50th breaks a rule, in a folder."""
    templates = {o: verdict_to_row(verdict("x.png", o)) for o in ("unsafe", "safe")}
    source = tmp_path / "large.jsonl"
    with source.open("w") as file:
        for n in range(5000):
            row = templates["safe" if n % 50 else "unsafe"]
            file.write(json.dumps({**row, "id": f"{n:05}.png"}) + "\n")
    write_report(source, tmp_path / "large", limit=40)
    return tmp_path / "large" / "index.html"


def test_only_visible_cards_are_in_the_document(opened, large):
    page = opened(large)
    assert status(page) == "5,000 shown" and page.locator(".card").count() == 24
    page.get_by_role("button", name="unsafe 100").click()
    assert status(page) == "100 of 5,000 shown"
    assert page.locator(".pager .where").inner_text() == "1 to 24 of 100"
    page.get_by_role("button", name="Next", exact=True).click()
    assert page.locator(".pager .where").inner_text() == "25 to 48 of 100"
    assert page.locator(".picture img").count() == 40 - 24
    page.get_by_role("combobox", name="At once").select_option("96")
    assert page.locator(".card").count() == 96
    page.get_by_role("searchbox").fill("04950")
    assert shown(page) == ["04950.png"]
    page.get_by_text("It breaks blade").wait_for()
    page.locator(".card").get_by_role("button", name="Evidence").click()
    page.get_by_role("dialog").get_by_role("row", name="It touches an axe.").wait_for()


def test_page_without_its_data_folder_says_so(browser, large):
    for path in (large.parent / "files").glob("*.js"):
        path.unlink()
    page = browser.new_page()
    page.goto(large.as_uri())
    page.get_by_text("The folder beside it belongs to it.").wait_for()
    page.close()


@pytest.fixture
def compared(verdict, record, tmp_path) -> Path:
    """The page of two runs with different models, of which two verdicts of three flip."""
    old = record(verdict("a.png"), verdict("b.png"), verdict("c.png", "unsure"), name="old.jsonl")
    model = f"hf/somebody/a-model-with-quite-a-long-name@{'ab12' * 10}"
    verdicts = [verdict("a.png", "unsafe"), verdict("b.png"), verdict("c.png")]
    new = record(*(one.model_copy(update={"model": model}) for one in verdicts), name="new.jsonl")
    compare_reports(old, new, tmp_path / "changes.html")
    return tmp_path / "changes.html"


def test_two_runs_are_compared(opened, compared):
    page = opened(compared)
    assert page.get_by_role("heading", level=1).inner_text() == "2 of 3 verdicts flip."
    assert shown(page) == ["a.png", "c.png"]
    page.get_by_role("combobox", name="Change").select_option(label="unsure → safe")
    assert shown(page) == ["c.png"]
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("combobox", name="Rule").select_option(label="blade")
    assert shown(page) == ["a.png"]
    assert "kept → broken, high" in page.locator(".card").inner_text()
    page.get_by_role("button", name="Evidence").click()
    assert "All 2 rules are kept." in page.get_by_role("dialog").inner_text()


LUMINANCE = """
([selector]) => {
  const parse = (c) => c.match(/[0-9.]+/g).map(Number);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const lum = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll(selector)].map((element) => {
    const both = [lum(parse(getComputedStyle(element).color)), lum(ground(element))];
    const [high, low] = both.sort((a, b) => b - a);
    return [element.className + ' ' + element.textContent.trim().slice(0, 30), (high + 0.05) / (low + 0.05)];
  });
}
"""
TEXTS = "p, h1, h1 em, h2, h3, h4, dt, dd, th, td, button:not(:disabled), label, summary"
TEXTS += ", .chip, .folder, .aside, .reason, .verdict, .missing"


PAGES = ["path", "compared"]


@pytest.mark.parametrize("which", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_text_has_contrast_and_does_not_overflow(opened, request, which, scheme, width):
    path = request.getfixturevalue(which)
    page = opened(path, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".card").first.get_by_role("button", name="Evidence").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("row", name="A child is visible.").first.wait_for()
    assert dialog.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(",")) > 384
    assert bright == (scheme == "light")
    contrasts = page.evaluate(LUMINANCE, [TEXTS])
    assert len(contrasts) > 50
    assert [(name, round(ratio, 2)) for name, ratio in contrasts if ratio < 4.5] == []


def test_no_transitions_with_reduced_motion(opened, path):
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    for motion, scrolls in (("reduce", "auto"), ("no-preference", "smooth")):
        page = opened(path, reduced_motion=motion)
        assert page.evaluate(behaviour) == scrolls
        durations = page.locator(".picture img").evaluate_all(
            "all => all.map(i => getComputedStyle(i).transitionDuration)"
        )
        assert (set(durations) == {"0s"}) is (motion == "reduce")


@pytest.mark.parametrize("which", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened, request, which, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing"
    )
    # The page's policy keeps out even axe's script: it is lifted for the scan alone.
    page = opened(request.getfixturevalue(which), color_scheme=scheme, bypass_csp=True)

    def serious() -> list[str]:
        found = axe.Axe().run(page).response["violations"]
        return [
            f"{v['id']}: {node['html'][:120]}"
            for v in found
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"]
        ]

    assert serious() == []
    page.locator(".card").first.get_by_role("button", name="Evidence").click()
    page.get_by_role("dialog").get_by_role("row", name="A child is visible.").first.wait_for()
    assert serious() == []
