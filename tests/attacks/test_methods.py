"""Every attack on a tiny LLaVA: inside its constraint, lower in its own loss, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal
from jurat.attacks.constraints import FixedPatch, MovingPatch
from jurat.attacks.methods.luo import PerturbedPrompts
from jurat.attacks.objectives import Continuation, Draw
from jurat.attacks.pictures import as_levels, as_pixels, save_png
from jurat.attacks.problem import Batch, Problem
from jurat.attacks.registry import ATTACKS, open_attack
from jurat.attacks.submission import submit
from jurat.content import Chat, Failure, Generation, Reply, Turn
from jurat.errors import JuratError
from jurat.models import open_matcher, open_model
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.registry import Evidence

from ..models.tiny import make_llava, picture

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

BLANK = Image.new("RGB", (8, 8))

# Attack, with settings that end quickly; the goals' trigger.
RUNS: dict[str, Any] = {
    "noise?radius=0.02": None,
    "carlini?steps=12&rate=0.03": None,
    "shayegani?steps=12&rate=0.03": picture(9),
    "shayegani?steps=12&rate=0.03&part=patches": picture(9),
    "dong?steps=4&samples=2": None,
    "dong?steps=4&samples=2&aim=description": None,
    "qi?steps=12&batch=2&every=4": None,
    "cropa?steps=12&every=2&prompt_every=2": None,
    "cropa?steps=12&every=2&prompt_every=2&targeted=false": None,
    "bagdasaryan?steps=12&rate=0.02": None,
    "bagdasaryan?steps=12&rate=0.05&rows=20": None,
    "schlarmann-hein?steps=10": None,
    "schlarmann-hein?steps=10&targeted=true": None,
    "image-hijacks?steps=12&rate=1": None,
    "image-hijacks?steps=12&rate=3&within=patch&side=0.5": None,
    "image-hijacks?steps=40&rate=1&every=4&within=moving-patch&side=0.5": None,
    "image-hijacks?steps=12&rate=3&match=prompt": None,
    "fu?steps=12": None,
}
NEW = [name for name in RUNS if not name.startswith("noise")]


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_model(f"hf/{make_llava(tmp_path_factory.mktemp('tiny') / 'llava')}", device="cpu")


def case(question: str, target: str) -> Case:
    return Case(Chat((Turn("user", (BLANK, question)),), Generation(max_tokens=3)), target)


def goals(trigger: Any = None) -> list[Goal]:
    def teacher(asked: Case) -> Case:
        return Case(Chat((Turn("user", (picture(4), "Does a knife ?")),)), asked.target)

    return [
        Goal(
            as_levels(picture(seed)),
            train=[case("Is a dog visible ?", " dog cat"), case("Is a cat visible ?", " knife")],
            validation=[case("A child or a dog ?", " dog cat")],
            test=[case("Is the statement true ?", " dog"), case("Is it not true ?", " dog")],
            succeeded=lambda asked, reply: asked.target.strip() in reply.text,
            name=f"picture {seed}",
            kept=[case("Is a baby visible ?", " Yes")],
            trigger=trigger,
            teacher=teacher,
        )
        for seed in (0, 1)
    ]


@pytest.mark.parametrize("name", RUNS)
def test_attack_stays_inside_its_constraint_and_lowers_its_own_loss(name: str, victim: Any) -> None:
    """The loss of the saved picture against that of the picture that the attack began with."""
    asked = [replace(goal, validation=(), succeeded=lambda *_: False) for goal in goals(RUNS[name])]
    attack, access = open_attack(name), Access(victim)
    outcomes = attack.run([access], asked)
    for goal, outcome in zip(asked, outcomes, strict=True):
        assert attack.constraint(goal).contains(outcome.saved, goal.clean)
        assert not outcome.saved.equal(goal.clean) or outcome.step == 0
    assert access.spent.backwards <= access.spent.forwards and (access.spent.forwards > 0) is (name in NEW)
    if name in NEW:
        begun = replace(attack, steps=0).run([access], asked)
        assert sum(each.score for each in outcomes) < sum(each.score for each in begun)


@pytest.mark.parametrize("name", RUNS)
def test_outcomes_depend_on_the_seed(name: str, victim: Any) -> None:
    attack: Any = open_attack(name)
    short = replace(attack, steps=min(2, attack.steps))
    first, again = (short.run([Access(victim)], goals(RUNS[name]), seed=3) for _ in range(2))
    assert all(a.saved.equal(b.saved) and a.losses == b.losses for a, b in zip(first, again, strict=True))


def test_success_is_measured_on_the_saved_png(victim: Any, tmp_path: Path) -> None:
    asked, files, access = goals(), [tmp_path / "0.png", tmp_path / "1.png"], Access(victim)
    outcomes = open_attack("carlini?steps=5&rate=0.03").run([access], asked)
    for outcome, file in zip(outcomes, files, strict=True):
        save_png(outcome.saved, file)
    before = access.spent.queries
    sent = submit(access, asked, files)
    assert access.spent.queries - before == 4
    for one, outcome in zip(sent, outcomes, strict=True):
        levels = (outcome.saved.int() - one.goal.clean.int()).abs()
        assert one.distance.linf == int(levels.max()) and -1 <= one.distance.ssim < 1
        assert one.distance.l2 == pytest.approx(float((levels.double() / 255).norm()))
        with Image.open(one.file) as image:
            read = image.convert("RGB")
        chats = [
            replace(case.chat, turns=(Turn("user", (read, case.chat.turns[0].text)),))
            for case in one.goal.test
        ]
        expected = victim.chat(chats)
        assert [reply.text for reply in one.replies] == [reply.text for reply in expected]
        assert one.successes == sum("dog" in reply.text for reply in expected) and one.failures == 0


def test_failures_are_no_successes(victim: Any, tmp_path: Path) -> None:
    asked = [replace(goal, succeeded=lambda *_: True) for goal in goals()]
    save_png(asked[0].clean, tmp_path / "0.png")

    class Failing:
        name = "failing"

        def chat(self, chats: Sequence[Chat]) -> list[Reply]:
            return [Reply(failure=Failure("error", "no")) for _ in chats]

    (sent,) = submit(Access(Failing()), asked[:1], [tmp_path / "0.png"])  # pyright: ignore
    assert (sent.successes, sent.failures) == (0, 2)


def test_carlini_stops_at_the_first_success(victim: Any) -> None:
    asked = [replace(goal, succeeded=lambda *_: True) for goal in goals()]
    outcomes = open_attack("carlini?steps=50&every=2").run([Access(victim)], asked)
    assert [(each.step, len(each.losses)) for each in outcomes] == [(0, 0), (0, 0)]


def test_prompt_step_of_cropa_raises_the_loss_that_its_picture_step_lowers(victim: Any) -> None:
    asked, access = goals(), Access(victim)
    attack: Any = open_attack("cropa?prompt_every=1&prompt_rate=0.05")
    objective = PerturbedPrompts(access, [goal.train for goal in asked])
    pictures = [as_pixels(goal.clean) for goal in asked]
    problem = Problem(pictures, [attack.constraint(goal) for goal in asked], [objective], access.spent)
    plain = Continuation(access, [goal.train for goal in asked])
    begun = objective.losses(pictures, [0, 1], Draw(1))
    assert begun.allclose(plain.losses(pictures, [0, 1], Draw(1)), atol=1e-5), "perturbations begin as zeros"
    before = access.spent.backwards
    moved, losses = attack.optimiser().step(Batch(problem, [0, 1], pictures, Draw(1)))
    assert losses.allclose(begun, atol=1e-5)
    assert access.spent.backwards - before == 8, "a pass for each player: two pictures with two prompts"
    assert all(bool(shift.any()) and float(shift.min()) >= -0.23 for shift in objective.shifts.values())
    raised = objective.losses(pictures, [0, 1], Draw(2))
    assert bool((raised > begun).all())
    assert plain.losses(moved, [0, 1], Draw(2)).sum() < begun.sum()


def test_cropa_changes_prompts_only_when_it_says(victim: Any) -> None:
    changed: dict[str, int] = {}
    for name in ("prompt_every=2", "prompt_every=2&prompt_until=3", "prompt_rate=0", "prompt_every=100"):
        access = Access(victim)
        open_attack(f"cropa?steps=6&every=100&{name}").run([access], goals())
        changed[name] = access.spent.backwards - 6 * 2
    # Steps 2 and 4, and the one picture's prompt that each of them takes.
    assert list(changed.values()) == [4, 2, 0, 0]


def test_misleading_words_win_at_an_encoder_of_texts_and_images() -> None:
    matcher: Any = open_matcher("bundled", device="cpu")
    attack = open_attack("tu?steps=8")
    asked = [replace(goal, trigger="dog") for goal in goals()]
    words = replace(attack, words=("dog", "cat"))  # pyright: ignore[reportCallIssue]
    after = words.run([Access(matcher)], asked)
    before = replace(words, steps=0).run([Access(matcher)], asked)
    assert sum(each.score for each in after) < sum(each.score for each in before)


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_setting_says_where_its_default_comes_from(name: str) -> None:
    kind: Any = ATTACKS.find(name).load()
    for each in fields(kind):
        assert each.metadata["evidence"] in get_args(Evidence) and each.metadata["doc"].endswith(".")
    for preset in ATTACKS.find(name).presets:
        assert open_attack(name, preset) != open_attack(name)


@pytest.mark.parametrize(
    ("name", "preset", "message"),
    [
        ("carlinni", None, "There is no attack 'carlinni'"),
        ("carlini?stepz=3", None, "has no setting 'stepz'"),
        ("carlini?steps=many", None, "steps: Input should be a valid integer"),
        ("carlini?steps=-1", None, "steps: Input should be greater than or equal to 0"),
        ("qi?every=0", None, "every: Input should be greater than or equal to 1"),
        ("noise?radius=8", None, "radius.*: Input should be less than or equal to 1"),
        ("carlini?rate=nan", None, "rate: Input should be a finite number"),
        ("gcg?length=0", None, "length: Input should be greater than or equal to 1"),
        ("noise", "as_released", "There are none"),
        ("image-hijacks?within=sphere", None, "within: Input should be 'ball', 'patch' or 'moving-patch'"),
        ("dong", "as_printed", "has no preset 'as_printed'"),
    ],
)
def test_unusable_names_and_settings_are_errors(name: str, preset: str | None, message: str) -> None:
    with pytest.raises(JuratError, match=message):
        open_attack(name, preset)


def test_settings_are_read_from_the_name() -> None:
    made: Any = open_attack("qi?steps=7&radius=null")
    assert (made.steps, made.radius, made.batch) == (7, None, 8)
    assert open_attack("dong", "as_released") == open_attack(f"dong?rate={3.2 / 255}")


def test_patches_lie_within_the_picture() -> None:
    hijack: Any = open_attack("image-hijacks?within=patch&left=0.95&top=0.02")
    found = hijack.constraint(goals()[0])
    assert isinstance(found, FixedPatch)
    assert (found.left, found.top, found.width, found.height) == (29, 0, 11, 11)
    moving: Any = open_attack("image-hijacks?within=moving-patch").constraint(goals()[0])
    assert isinstance(moving, MovingPatch) and moving.side == 11


def test_goal_without_what_the_attack_needs_is_an_error(victim: Any) -> None:
    with pytest.raises(JuratError, match="'picture 0' has no trigger"):
        open_attack("shayegani?steps=1").run([Access(victim)], goals())
    bare = [replace(goal, teacher=None) for goal in goals()]
    with pytest.raises(JuratError, match="'picture 0' has no prompt that is to be matched"):
        open_attack("image-hijacks?steps=1&match=prompt").run([Access(victim)], bare)
