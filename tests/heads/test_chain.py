import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.errors import UnknownNameError, UsageError
from headfit.heads.body import ACTIVATIONS, BatchNorm, Dense, Dropout
from headfit.heads.chain import MAX_UNITS, Head, parse_head, parse_heads
from headfit.heads.layers.plain import GAP
from headfit.heads.pooling import find_pooling, pooling_names, register
from headfit.heads.presets import DEFAULT_HEADS, PRESETS, RECORDS

quick = settings(deadline=None, max_examples=25)
steps = st.one_of(
    st.builds(Dense, st.integers(1, MAX_UNITS), st.sampled_from(ACTIVATIONS)),
    st.builds(Dropout, st.floats(0, 1, exclude_max=True).map(abs)),
    st.just(BatchNorm()),
)
poolings = st.sampled_from(pooling_names()).map(find_pooling)
bodies = st.lists(steps, max_size=4).map(tuple)
# nothing follows a readout
heads = poolings.flatmap(
    lambda pooling: st.builds(
        Head, st.just(pooling), st.just(()) if Head(pooling).readout else bodies
    )
)


@settings(deadline=None, max_examples=200)
@given(heads)
def test_a_head_is_read_back_from_its_name(head):
    assert parse_head(str(head)) == head
    assert parse_heads(head.name) == [head]


@quick
@given(heads)
def test_the_name_is_lower_case_and_safe_in_a_shell_and_a_list(head):
    assert set(head.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.:")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gap", "gap"),
        (" GAP-1024:ReLU ", "gap-1024"),
        ("gap-dropout0.50-007", "gap-dropout0.5-7"),
        ("flatten-dropout.5", "flatten-dropout0.5"),
        ("gap-dropout0", "gap-dropout0"),
        ("gap-dropout0.00001", "gap-dropout0.00001"),
        ("gap-64:leaky_relu", "gap-64:leaky_relu"),
        ("GeM-BN-512", "gem-bn-512"),
    ],
)
def test_spellings_become_canonical(text, name):
    assert parse_head(text).name == name


@pytest.mark.parametrize(
    ("chain", "step"),
    [
        ("gap-foo", "foo"),
        ("gap-", ""),
        ("gap--512", ""),
        ("gap-0", "0"),
        ("gap-65537", "65537"),
        ("gap-" + "9" * 5000, "9" * 5000),
        ("gap-512:rlu", "512:rlu"),
        ("gap-512:", "512:"),
        ("gap-dropout1", "dropout1"),
        ("gap-dropout", "dropout"),
        ("gap-dropout.", "dropout."),
        ("gap-dropoutnan", "dropoutnan"),
        ("gap-dropout5e", "dropout5e"),
        ("gap-٣", "٣"),
        ("gap-8-8 8", "8 8"),
        ("gap-512-bn2", "bn2"),
        ("gap-512-bn:relu", "bn:relu"),
    ],
)
def test_a_bad_step_is_named_with_its_chain_and_an_example(chain, step):
    with pytest.raises(UsageError) as error:
        parse_head(chain)
    assert f"Head '{chain}': step '{step}' is" in str(error.value)
    assert "For example 'gap-dropout0.5-512:gelu'" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "hint"), [("gapp-512", "gap"), ("flaten", "flatten"), ("googlnet", "googlenet")]
)
def test_an_unknown_pooling_gets_a_suggestion(text, hint):
    with pytest.raises(UnknownNameError, match=f"Unknown head .* Did you mean '{hint}'"):
        parse_head(text)


def test_an_unknown_pooling_lists_poolings_and_presets():
    with pytest.raises(UnknownNameError) as error:
        parse_head("")
    assert set(error.value.valid) == {*pooling_names(), *PRESETS}


def test_several_heads_keep_their_order_and_lose_duplicates():
    found = parse_heads(["gap, flatten,", "GAP,vgg16-question,gap-8:relu", "gap-8"])
    assert [head.name for head in found] == ["gap", "flatten", "gap-8"]


@pytest.mark.parametrize("nothing", ["", " , ", []])
def test_no_head_at_all_is_refused(nothing):
    with pytest.raises(UsageError, match="`heads` must name at least one head"):
        parse_heads(nothing)


def test_presets_are_canonical_and_shadow_no_pooling():
    assert not set(PRESETS) & set(pooling_names())
    for name, record in RECORDS.items():
        assert parse_head(name).name == PRESETS[name] == record.chain
        assert record.name == name and record.source
    assert [head.name for head in parse_heads(DEFAULT_HEADS)] == list(DEFAULT_HEADS)


def test_what_a_head_tells_about_itself():
    assert parse_head("gap").linear and not parse_head("gap").position_aware
    assert not parse_head("flatten-dropout0.5").linear
    aware = {name for name in pooling_names() if find_pooling(name).position_aware}
    assert aware == {"flatten", "spp", "spatial_prior", "low_rank"}
    assert parse_head("spp-8").position_aware


def test_the_register_refuses_duplicates_and_unspellable_names():
    with pytest.raises(ValueError, match="already registered"):
        register(GAP)
    for name in ("two-words", "Gap", ""):
        with pytest.raises(ValueError, match="identifier"):
            register(type(GAP)(name, "", ""))
    with pytest.raises(UnknownNameError, match="Did you mean 'gem'"):
        find_pooling("gemm")


def test_reading_chains_does_not_import_keras():
    code = (
        "import sys; from headfit.heads.chain import parse_head as p; p('gem-8');"
        "p('spp').parameters((7, 7, 3), 2); sys.exit('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
