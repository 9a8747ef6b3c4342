"""A perturbed copy sounds the same in any order, batch, subset and attempt, and says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from whisperlab.audio import AudioLimits, Samples, Sound, waveform_of
from whisperlab.config.build import build_dataset, build_transcriber
from whisperlab.config.compose import compose
from whisperlab.dataset.protocol import Dataset
from whisperlab.errors import AudioError, ConfigError
from whisperlab.stopwatch import Stopwatch

NOISY = ("perturb=[noise,codec]", "perturb.noise.snr_db=5.0")


def dataset(*overrides: str) -> Dataset:
    return build_dataset(compose("eval", ["dataset=demo_digits", *overrides]))


def heard(utterances: Dataset) -> dict[str, Samples]:
    return {
        item.id: waveform_of(item.audio, AudioLimits(), Stopwatch()).samples for item in utterances
    }


def test_sound_does_not_depend_on_order_or_subset() -> None:
    whole = heard(dataset(*NOISY))
    shuffled = heard(dataset(*NOISY, "order=shuffled"))
    some = heard(dataset(*NOISY, "dataset.subset=5"))
    assert list(shuffled) != list(whole)
    assert shuffled.keys() == whole.keys()
    assert len(some) == 5
    for other in (shuffled, some):
        assert all(np.array_equal(samples, whole[id_]) for id_, samples in other.items())


def test_utterances_have_noises_of_their_own_and_another_seed_has_others() -> None:
    silence = (
        "dataset=demo",
        "dataset.part=nospeech",
        "perturb=[gain,noise]",
        "perturb.gain.gain_db=-120.0",
    )
    first, second = heard(dataset(*silence)).values()
    count = min(len(first), len(second))
    alike = np.corrcoef(first[:count], second[:count])[0, 1]
    assert abs(alike) < 0.05
    other = next(iter(heard(dataset(*silence, "seed=1")).values()))
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


def test_the_same_noise_is_louder_at_a_lower_ratio() -> None:
    clean = heard(dataset())
    noises = [
        heard(dataset("perturb=[noise]", f"perturb.noise.snr_db={snr}"))["digits-00"]
        - clean["digits-00"]
        for snr in (20.0, 10.0)
    ]
    assert np.corrcoef(noises[0], noises[1])[0, 1] > 0.999
    assert 20 * np.log10(noises[1].std() / noises[0].std()) == pytest.approx(10, abs=0.01)


def test_perturbations_are_stacked_in_the_order_of_the_list() -> None:
    one = dataset("perturb=[clipping,gain]")
    other = dataset("perturb=[gain,clipping]")
    assert one.identity()["perturbations"] == "clipped 12 dB below peak, then gain -20 dB"
    assert other.identity()["perturbations"] == "gain -20 dB, then clipped 12 dB below peak"
    noisy = [
        heard(dataset(f"perturb=[{order}]"))["digits-00"]
        for order in ("noise,clipping", "clipping,noise")
    ]
    assert not np.array_equal(noisy[0], noisy[1])


def test_identity_is_the_original_s_and_names_perturbations_seed_and_order() -> None:
    plain = dataset().identity()
    assert "perturbations" not in plain
    noisy = dataset(*NOISY, "seed=3", "order=shuffled").identity()
    assert {key: noisy[key] for key in plain} == plain
    assert noisy["perturbations"] == "white noise 5 dB, then mulaw 8 kHz"
    assert noisy["perturbation_seed"] == 3
    assert noisy["order"] == "shuffled, seed 3"
    json.dumps(noisy)


def test_a_file_that_the_door_refuses_is_refused_perturbed_as_well(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"audio_filepath": "bad.wav", "text": "hello"}\n', encoding="utf-8")
    (item,) = dataset("dataset=manifest", f"dataset.path={manifest}", *NOISY)
    assert isinstance(item.audio, Sound)
    with pytest.raises(AudioError) as refused:
        item.audio.waveform(AudioLimits(), Stopwatch())
    transcriber = build_transcriber(compose("transcriber", ["engine=replay"]))
    (recognition,) = transcriber.recognise([item.audio])
    assert recognition.error is not None
    assert recognition.error.code == refused.value.code


def test_wrong_settings_name_their_key() -> None:
    with pytest.raises(ConfigError, match=r"^perturb\.noise\.kind"):
        dataset("perturb=[noise]", "perturb.noise.kind=mauve")
    with pytest.raises(ConfigError, match="order: expected one of dataset, shuffled"):
        dataset("order=backwards")
