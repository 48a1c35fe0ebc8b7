"""The pictogram splits: ground truth of every scene, differences within pairs, separation of splits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice

import numpy as np
import pytest

from jurat.bench.pictogram import (
    RULE_TYPES,
    SPLITS,
    constitution_of,
    draw_split,
    keep_split,
    rule_type,
)
from jurat.bench.pictogram.definition import (
    LEVELS,
    OCCLUSION,
    OPEN_SPLITS,
    PARTNERS,
    UNMET_TYPES,
    splits_named,
)
from jurat.bench.pictogram.pairs import draw_pair, fair
from jurat.bench.pictogram.placing import SceneRequest
from jurat.constitution import check_constitution
from jurat.pictograms.cases import broken_rules
from jurat.pictograms.objects import HELD_APART
from jurat.pictograms.pieces import Layout, Rendering, covered, draw_layout
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import GAP, draw
from jurat.pictograms.statements import Facts

PAIRED = ("dev", "test", "habits", "vault", "redrawn")
LAWS = ("dev", "test", "flip", "vault")


@pytest.mark.parametrize("split", PAIRED)
def test_ground_truth_follows_from_the_clauses(splits, split):
    constitution = constitution_of(split)
    for item in splits[split]:
        assert broken_rules(constitution, item.facts) == item.broken, item.id
        assert item.broken == ({item.rule} if item.want == "broken" else set()), item.id
    assert [item.want for item in splits[split]] == ["broken", "near miss"] * len(constitution.rules)


@pytest.mark.parametrize("split", PAIRED)
def test_ground_truth_matches_the_pixels(splits, split):
    for item in splits[split][:6]:
        assert item.layout is not None
        again = draw_layout(item.layout, SPLITS[split].rendering)
        assert again is not None and fair(again)
        assert (np.asarray(item.image) == again.pixels).all()
        assert (Facts.of(again).gaps == item.facts.gaps).all()


def differences(a: Layout, b: Layout) -> int:
    """In how many pieces two layouts differ."""
    if len(a.pieces) == len(b.pieces):
        return sum(one != other for one, other in zip(a.pieces, b.pieces, strict=True))
    longer, shorter = sorted((a.pieces, b.pieces), key=len, reverse=True)
    one_less = [longer[:i] + longer[i + 1 :] for i in range(len(longer))]
    return 1 if shorter in one_less else 99


@pytest.mark.parametrize("split", ("dev", "test", "vault", "unmet"))
def test_scenes_of_a_pair_differ_in_one_piece(splits, split):
    for broken, near in zip(splits[split][::2], splits[split][1::2], strict=True):
        assert broken.layout.ground == near.layout.ground
        assert differences(broken.layout, near.layout) == 1, broken.id


def test_images_of_a_pair_differ_only_at_that_piece(splits):
    broken, near = splits["test"][0], splits["test"][1]
    apart = np.flatnonzero((np.asarray(broken.image) != np.asarray(near.image)).any((0, 2)))
    at = next(i for i, piece in enumerate(broken.layout.pieces) if piece != near.layout.pieces[i])
    centre = broken.layout.pieces[at].x * broken.image.width / 128
    assert 0 < len(apart) < 0.6 * broken.image.width and apart.min() - 3 <= centre <= apart.max() + 3


def test_habits_pairs_differ_in_one_piece_and_companions(splits):
    for broken, near in zip(splits["habits"][::2], splits["habits"][1::2], strict=True):
        count = broken.companions
        assert count == near.companions >= (rule_type("habits", broken.rule) != "only")
        # The companions come last in the violating scene, and are cut off before the centre is compared.
        assert 1 <= differences(broken.layout, near.layout) <= 1 + count or len(broken.layout.pieces) != len(
            near.layout.pieces
        )


def together(kinds: list[int]) -> float:
    """Share of possible habitual pairs of objects that occur in a scene."""
    pairs = [(a, b) for a, b in combinations(kinds, 2) if a in PARTNERS and b in PARTNERS]
    return float(np.mean([b in PARTNERS[a] for a, b in pairs])) if pairs else float("nan")


def test_habits_split_inverts_usual_co_occurrence(splits):
    usual = [together(draw(np.random.default_rng(i)).kinds) for i in range(150)]
    broken = [together(item.facts.kinds.tolist()) for item in splits["habits"]]
    assert np.nanmean(usual) > 0.1
    assert np.nanmean(broken) < 0.5 * np.nanmean(usual)


def test_companions_are_no_partners_of_other_pieces(splits):
    for item in (each for each in splits["habits"][::2] if each.companions):
        companions = item.layout.pieces[-item.companions :]
        others = {piece.kind for piece in item.layout.pieces[: -item.companions]}
        assert not any(PARTNERS.get(piece.kind, frozenset()) & others for piece in companions), item.id


def test_flip_reuses_test_scenes_under_other_rules(splits):
    test = {item.id.split("/", 1)[1]: item for item in splits["test"]}
    changed = 0
    for item in splits["flip"]:
        same = test[item.id.split("/", 1)[1]]
        assert (np.asarray(same.image) == np.asarray(item.image)).all()
        assert item.broken == broken_rules(constitution_of("flip"), item.facts)
        changed += (item.rule in item.broken) is not (item.rule in same.broken)
    assert changed
    under = [broken_rules(constitution_of("flip"), item.facts) for item in splits["test"]]
    kept = [(item, truth) for item, truth in zip(splits["test"], under, strict=True) if truth is not None]
    assert len(kept) > 0.7 * len(under)
    assert sum((i.rule in t) is not (i.rule in i.broken) for i, t in kept) > 0.3 * len(kept)


def test_rare_scenes_break_no_rule(splits):
    for item in splits["rare"]:
        assert broken_rules(constitution_of("rare"), item.facts) == item.broken == frozenset()


def test_borderline_soft_truth_matches_the_drawing(splits):
    kinds = {rule_type("borderline", item.rule) for item in splits["borderline"]}
    assert {"attribute", "part", "relation"} <= kinds and "count" not in kinds
    for item in splits["borderline"]:
        assert item.soft is not None and 0 < item.soft < 1 and not item.broken
        drawn = draw_layout(item.layout, SPLITS["borderline"].rendering)
        gaps = item.facts.gaps[np.triu_indices(len(item.facts.kinds), 1)]
        between = gaps[(gaps > 0) & (gaps < GAP)]
        if len(between):
            assert item.soft == pytest.approx(1 - between.min() / GAP, abs=1e-5)
        else:
            low, high = OCCLUSION
            assert item.soft == pytest.approx((high - covered(drawn).max()) / (high - low), abs=1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_constitutions_have_the_required_rule_types(name):
    constitution = constitution_of(name)
    types = UNMET_TYPES if name == "unmet" else RULE_TYPES
    assert len(constitution.rules) == (14 if name == "vault" else len(types))
    assert set(RULE_TYPES) >= {"attribute", "part", "relation", "count", "alternatives", "text", "exception"}
    for rule, kind in zip(constitution.rules, types, strict=name != "vault"):
        assert rule.description and parse(rule.description)
        assert rule_type(name, rule.id) == kind
        for clause in (*rule.clauses, *rule.unless):
            assert clause.objects and all(parse(s.text) for s in clause.alternatives)
        if name != "flip":
            assert bool(rule.unless) is (kind == "exception")
        if name not in ("flip", "vault") and kind in ("size", "only", "list"):
            (clause,) = rule.clauses
            assert parse(clause.alternatives[0].text).kind in ("larger", "only", "touches")
    assert constitution.source is not None
    assert [p for p in check_constitution(constitution.source) if p.severity == "error"] == []


def test_rules_of_unmet_speak_of_pairs_that_never_meet_in_training():
    for rule in constitution_of("unmet").rules:
        said = [parse(s.text) for clause in (*rule.clauses, *rule.unless) for s in clause.alternatives]
        first, *others = dict.fromkeys(min(noun.classes) for one in said for noun in one.nouns())
        assert others and all(frozenset((first, other)) in HELD_APART for other in others), rule.id


@pytest.mark.parametrize("kind", ["size", "list"])
def test_near_misses_of_relations_often_lack_an_argument(kind, rng):
    constitution, look = constitution_of("dev"), SPLITS["dev"]
    rule = constitution.rules[RULE_TYPES.index(kind)]
    statement = parse(rule.clauses[0].alternatives[0].text)
    request = SceneRequest(constitution, rule, LEVELS[0], look.rendering, look.sprites)
    near = [draw_pair(request, rng)[1].facts for _ in range(10)]
    lacking = [
        not (facts.which(statement.nouns()[0]) and any(map(facts.which, statement.nouns()[1:])))
        for facts in near
    ]
    assert any(lacking) and not all(lacking)


@pytest.mark.parametrize("name", LAWS)
def test_bundled_model_knows_every_word_of_the_constitutions(name):
    from transformers import AutoTokenizer

    from jurat.judge.prompts import RULE, STATEMENT
    from jurat.models.bundled.model import WEIGHTS
    from jurat.models.bundled.word_vocabulary import question_vocabulary

    words = question_vocabulary(AutoTokenizer.from_pretrained(WEIGHTS))
    for rule in constitution_of(name).rules:
        assert words.unknown_words(RULE.ask(rule.rule)) == []
        assert words.unknown_words(STATEMENT.ask(rule.description)) == []
    for text in constitution_of(name).statements():
        assert words.unknown_words(STATEMENT.ask(text)) == []


def test_dev_test_and_vault_share_nothing():
    laws = [constitution_of(name) for name in ("dev", "test", "vault")]
    for a, b in combinations(laws, 2):
        assert not set(a.statements()) & set(b.statements())
        assert not {rule.rule for rule in a.rules} & {rule.rule for rule in b.rules}
        assert not {_meaning(rule) for rule in a.rules} & {_meaning(rule) for rule in b.rules}
    looks = {SPLITS[name].rendering for name in ("dev", "test", "vault")}
    assert len(looks) == len({(look.size, look.resample) for look in looks}) == 3
    drawn = [split.stream for split in SPLITS.values() if split.name != "flip"]
    assert len(set(drawn)) == len(drawn)


def _meaning(rule):
    return frozenset(
        (role, parse(s.text))
        for role in ("clauses", "unless")
        for c in getattr(rule, role)
        for s in c.alternatives
    )


def test_seed_determines_the_scenes():
    first, again, other = (list(islice(draw_split("dev", seed, 1), 2)) for seed in (5, 5, 6))
    assert [item.layout for item in first] == [item.layout for item in again]
    assert [item.layout for item in first] != [item.layout for item in other]


def test_all_names_every_split_but_dev_and_vault():
    assert set(splits_named(["all"])) == set(SPLITS) - {"dev", "vault", "vault-2"}
    assert splits_named(["test", "all", "vault"]) == ("test", *OPEN_SPLITS[1:], "vault")


def test_pairs_cycle_through_the_levels():
    names = [item.level for item in draw_split("dev", 1, len(LEVELS)) if item.rule == "spider"]
    assert names[::2] == [level.name for level in LEVELS] == names[1::2]


def test_split_on_disk_equals_the_drawn_split(tmp_path, monkeypatch):
    from jurat.bench.pictogram import splits as module

    monkeypatch.setattr(module, "draw_split", lambda split, seed, n: islice(draw_split(split, seed, n), 4))
    drawn = list(islice(draw_split("dev", 2, 1), 4))
    kept = keep_split(tmp_path / "dev", "dev", 2, 1)
    monkeypatch.setattr(module, "draw_split", None)  # from here on it must come from the folder
    for one, other in zip(drawn, keep_split(tmp_path / "dev", "dev", 2, 1), strict=True):
        assert (one.id, one.broken, one.level, one.want) == (other.id, other.broken, other.level, other.want)
        assert (np.asarray(one.image) == np.asarray(other.image)).all()
        assert one.facts.gaps.tolist() == other.facts.gaps.tolist()
    assert len(kept) == 4
    with pytest.raises(TypeError):
        keep_split(tmp_path / "dev", "dev", 3, 1)  # another seed is drawn anew


def test_flip_uses_the_scenes_of_test_on_disk(tmp_path, splits, monkeypatch):
    from jurat.bench.pictogram import splits as module

    drawn: list[str] = []

    def draw(split, seed, n):
        drawn.append(split)
        return islice(splits[split], 6)

    monkeypatch.setattr(module, "draw_split", draw)
    test, flip = keep_split(tmp_path, "test", 3, 1), keep_split(tmp_path, "flip", 3, 1)
    assert drawn == ["test"] and len(test) == 6
    for one, other in zip(flip, splits["flip"], strict=False):
        assert (one.id, one.broken, one.rule, one.level) == (other.id, other.broken, other.rule, other.level)
        assert (np.asarray(one.image) == np.asarray(other.image)).all()


def test_concurrent_processes_draw_a_split_once(tmp_path, splits, monkeypatch):
    from jurat.bench.pictogram import splits as module

    drawn: list[str] = []

    def draw(split, seed, n):
        drawn.append(split)
        time.sleep(0.2)
        return islice(splits[split], 2)

    monkeypatch.setattr(module, "draw_split", draw)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: keep_split(tmp_path, "dev", 3, 1), range(2)))
    assert (
        drawn == ["dev"]
        and [[item.id for item in items] for items in found] == [[item.id for item in splits["dev"][:2]]] * 2
    )


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="there is no split 'tests'; there are dev, test"):
        next(draw_split("tests"))


def test_layout_outside_the_picture_is_not_drawn(splits):
    layout = splits["dev"][0].layout
    assert draw_layout(layout.change(0, x=1.0)) is None
    assert draw_layout(layout, Rendering(64)) is not None
