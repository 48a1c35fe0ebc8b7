"""The page as a person meets it: in Chromium, by pointer and by keyboard, wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jurat.report import write_report

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
    write_report(record(*verdicts, verdict("c/cut.png", "error", image=None)), out)
    return out


@pytest.fixture
def page(browser, path) -> Iterator:
    """The page, opened; fails if it asked for anything, or complained."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    yield page
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert said == []
    context.close()


def shown(page) -> list[str]:
    return page.locator(".card:visible").evaluate_all("cards => cards.map(card => card.dataset.name)")


def blurred(page) -> list[bool]:
    return page.locator(".picture img").evaluate_all(
        "all => all.map(i => getComputedStyle(i).filter.includes('blur'))"
    )


def settle(page) -> None:
    page.wait_for_function("() => document.getAnimations().length === 0")


def test_pictures_are_blurred_until_clicked_and_blurred_again(page):
    assert blurred(page) == [True] * 5
    veil = page.get_by_role("button", name="Show picture of x.png")
    assert veil.get_attribute("aria-pressed") == "false"
    veil.click()
    settle(page)
    assert blurred(page) == ["x.png" not in n for n in shown(page) if "cut" not in n]
    assert veil.get_attribute("aria-pressed") == "true"
    veil.click()
    settle(page)
    assert blurred(page) == [True] * 5


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_picture_is_unveiled_by_keyboard_alone(page, key):
    for _ in range(40):
        page.keyboard.press("Tab")
        label = page.evaluate("document.activeElement.getAttribute('aria-label')")
        if label == "Show picture of red.png":
            break
    else:
        pytest.fail("the button was not reached with Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press(key)
    settle(page)
    assert blurred(page)[0] is False


def test_all_pictures_can_be_shown_at_once(page):
    page.get_by_role("button", name="Show pictures").click()
    settle(page)
    assert blurred(page) == [False] * 5
    page.get_by_role("button", name="Blur pictures").click()
    settle(page)
    assert blurred(page) == [True] * 5


def test_the_gallery_is_filtered_by_outcome_rule_and_name(page):
    everything = ["a/red.png", "a/x.png", "b/y.png", "c/cut.png", "b/z.png", "b/w.png"]
    status = page.get_by_role("status")
    unsafe = page.get_by_role("button", name="unsafe 2")
    assert shown(page) == everything and status.inner_text() == "6 shown"
    unsafe.click()
    assert shown(page) == ["a/red.png", "a/x.png"] and status.inner_text() == "2 of 6 shown"
    page.get_by_role("button", name="error 1").click()
    assert shown(page) == ["a/red.png", "a/x.png", "c/cut.png"]
    page.get_by_label("Name").fill("RED")
    assert shown(page) == ["a/red.png"]
    page.get_by_label("Name").fill("")
    unsafe.click()
    page.get_by_role("button", name="error 1").click()
    page.get_by_role("combobox", name="Rule").select_option("fire")
    assert shown(page) == ["b/y.png"]
    page.get_by_label("Name").fill("nothing is called this")
    assert shown(page) == [] and page.get_by_text("No image is left under these filters.").is_visible()
    page.get_by_label("Name").press("Enter")
    assert page.url.endswith("page.html")


def test_pictures_of_any_shape_are_seen_whole(browser, verdict, record, tmp_path):
    sizes = [(480, 480), (100, 480), (480, 60), (16, 16)]
    out = tmp_path / "shapes.html"
    verdicts = [verdict(f"{n}.png", image=size) for n, size in enumerate(sizes)]
    write_report(record(*verdicts), out)
    page = browser.new_page()
    page.goto(out.as_uri())
    for picture in page.locator(".picture").all():
        frame, image = picture.bounding_box(), picture.locator("img").bounding_box()
        assert image["y"] >= frame["y"] and image["y"] + image["height"] <= frame["y"] + frame["height"] + 1
        assert image["x"] >= frame["x"] and image["x"] + image["width"] <= frame["x"] + frame["width"] + 1
    page.close()


def test_findings_open_in_place_with_clauses_scores_and_baselines(page):
    card = page.locator(".card").first
    assert not card.get_by_text("It touches an axe.", exact=True).is_visible()
    card.get_by_text("Findings").click()
    row = card.get_by_role("row", name="It touches an axe.")
    assert [cell.strip() for cell in row.get_by_role("cell").all_inner_texts() if cell.strip()] == [
        "holds",
        "0.90",
        "0.30",
        "0.98",
    ]
    narrow, wide = card.bounding_box()["width"], page.locator(".cards").bounding_box()["width"]
    assert narrow == pytest.approx(wide, abs=1)


def test_its_landmarks_and_headings_are_those_of_a_document(page):
    for role in ("banner", "main", "contentinfo", "search"):
        assert page.get_by_role(role).count() == 1, role
    names = ["How it was judged", "Not decided, and why", "Rules", "Images"]
    assert page.get_by_role("heading", level=2).all_inner_texts() == names
    assert (
        page.get_by_role("heading", level=1).inner_text().replace("\n", " ") == "2 of 6 images break a rule."
    )
    assert all(page.locator("img").evaluate_all("all => all.map(i => i.alt.length > 0)"))


def test_script_from_a_record_is_not_run(browser, verdict, record, tmp_path):
    hostile = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    out = tmp_path / "hostile.html"
    write_report(record(verdict("a.png", "unsafe", id=hostile, model=hostile, note=hostile)), out)
    page = browser.new_page()
    page.goto(out.as_uri())
    assert "owned" not in page.title().split("·")[0]
    assert page.locator(".card h3").inner_text().endswith(hostile.rpartition("/")[2])
    assert page.locator("main img").count() == 1
    page.close()


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
TEXTS = "p, h1, h1 em, h2, h3, h4, dt, dd, th, td, button, label, summary"
TEXTS += ", .chip, .folder, .aside, .reason, .verdict, .missing"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_text_is_legible_and_nothing_runs_off_the_side(browser, path, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    for summary in page.locator(".told > details > summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(",")) > 384
    assert bright == (scheme == "light")
    contrasts = page.evaluate(LUMINANCE, [TEXTS])
    assert len(contrasts) > 50
    assert [(name, round(ratio, 2)) for name, ratio in contrasts if ratio < 4.5] == []
    context.close()
