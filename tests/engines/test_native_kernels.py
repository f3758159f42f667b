"""The compiled kernels equal the reference implementation to the bit."""

from __future__ import annotations

import ast
import inspect
import itertools
import marshal
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calmasters.engines.native import (
    code_cache,
    compiled,
    darks,
    entries,
    flats,
    integration,
    levels,
    reference,
    reference_flats,
)
from calmasters.engines.native.integration import Integrated, Normalization, integrate
from calmasters.engines.native.reference import Fate
from calmasters.engines.output_range import fix_range
from calmasters.settings import Integration

Vectors = Mapping[str, np.ndarray]

FLAT_SETTINGS = Integration(normalization="Multiplicative", rejectionNormalization="EqualizeFluxes")

METHODS = {
    "": "WinsorizedSigmaClip",
    "sigma_": "SigmaClip",
    "averaged_": "AveragedSigmaClip",
    "percentile_": "PercentileClip",
    "minmax_": "MinMax",
    "esd_": "Rejection_ESD",
}


class ArrayStack:
    """Samples in memory as a stack: (n, pixels), of float32 or codes."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples
        self.count, self.size = samples.shape
        self.has_codes = samples.dtype == np.uint16

    def read(self, start: int, samples: np.ndarray) -> None:
        read = self.samples[:, start : start + samples.shape[1]]
        samples[:] = read / 65535 if self.has_codes else read

    def read_codes(self, start: int, codes: np.ndarray) -> None:
        codes[:] = self.samples[:, start : start + codes.shape[1]]


def location(image: np.ndarray) -> float:
    """Return the level of a frame that is read in strips of different lengths."""
    samples = image.reshape(-1)
    strips = partial(iter, np.array_split(samples, 7))
    return levels.location(strips, samples[::61], samples.size)


def rows_of(image: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda start, count: image[start : start + count]


def made(
    samples: np.ndarray,
    chosen: Integration,
    locations: list[float] | None = None,
    *,
    exact: bool = False,
) -> Integrated:
    normalization = (
        Normalization.of(chosen, locations) if locations else Normalization.none(len(samples))
    )
    return integrate(ArrayStack(samples), chosen, normalization, threads=2, exact=exact)


def assert_equal_to_reference(
    samples: np.ndarray, chosen: Integration, locations: list[float] | None = None
) -> None:
    levels_ = locations or [1.0] * len(samples)
    values, raws = (
        np.array(
            [
                reference.normalized(frame, levels_[0], level, method)
                for frame, level in zip(samples, levels_, strict=True)
            ]
        )
        for method in (chosen.rejectionNormalization, chosen.normalization)
    )
    pixels = [
        reference.integrate_pixel(value, raw, chosen)
        for value, raw in zip(values.T, raws.T, strict=True)
    ]
    fates = np.array([pixel.fates for pixel in pixels]).T
    result = made(samples, chosen, locations)
    expected = np.array([pixel.value for pixel in pixels])
    np.testing.assert_array_equal(result.pixels.view(np.uint32), expected.view(np.uint32))
    np.testing.assert_array_equal(result.low, (fates == Fate.LOW).sum(axis=1))
    np.testing.assert_array_equal(result.high, (fates == Fate.HIGH).sum(axis=1))


@pytest.mark.parametrize("n", [3, 5, 10, 20, 50])
@pytest.mark.parametrize("method", METHODS)
def test_kernels_equal_pixinsights_code(vectors: Vectors, n: int, method: str) -> None:
    chosen = Integration(rejection=METHODS[method], generateRejectionMaps=True)
    result = made(vectors[f"winsor_n{n}_stack"], chosen)
    np.testing.assert_array_equal(result.pixels, vectors[f"winsor_n{n}_{method}out"])
    if not method:
        low, high = vectors[f"winsor_n{n}_low"], vectors[f"winsor_n{n}_high"]
        np.testing.assert_array_equal(result.low, low.sum(axis=1))
        np.testing.assert_array_equal(result.high, high.sum(axis=1))
        maps = np.array([low.sum(axis=0), high.sum(axis=0)]) / n
        np.testing.assert_array_equal(result.maps, maps.astype(np.float32))


def test_flats_equal_pixinsights_code(vectors: Vectors) -> None:
    frames = vectors["flat_stack"]
    locations = [location(frame) for frame in frames]
    result = made(frames.reshape(len(frames), -1), FLAT_SETTINGS, locations)
    image = fix_range(result.pixels, True)
    np.testing.assert_array_equal(image, vectors["flat_out"].reshape(-1))
    np.testing.assert_array_equal(result.low, vectors["flat_low"].sum(axis=(1, 2)))
    np.testing.assert_array_equal(result.high, vectors["flat_high"].sum(axis=(1, 2)))


def test_median_of_a_large_image_equals_pixinsights_code(vectors: Vectors) -> None:
    assert levels.image_median(vectors["bigmedian_img"]) == vectors["bigmedian_plain"]
    assert location(vectors["bigmedian_img"]) == vectors["bigmedian_clipped"]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("cfa", [False, True])
@pytest.mark.parametrize("scene", ["wellposed", "typicalflat", "k0", "kbig"])
def test_darks_factor_equals_pixinsights_code(
    vectors: Vectors, scene: str, cfa: bool, exact: bool
) -> None:
    target, bias, dark = (vectors[f"dark_{scene}_{name}"] for name in ("target", "bias", "dark"))
    optimizer = darks.DarkOptimizer(dark - bias, sigmas=3, window=0, cfa=cfa, exact=exact)
    k = optimizer.fit(rows_of(target))
    assert float(k) == vectors[f"dark_{scene}_k_cfa{int(cfa)}"]
    calibrated = target.copy()
    calibrator = flats.Calibrator(bias, dark - bias)
    calibrator.apply(calibrated.reshape(1, -1), 0, np.array([k]))
    np.testing.assert_array_equal(calibrated, vectors[f"dark_{scene}_out_cfa{int(cfa)}"])


def stacks(rng: np.random.Generator, kind: str, n: int, pixels: int) -> np.ndarray:
    shape = (n, pixels)
    samples = {
        "gaussian": lambda: rng.normal(0.02, 0.0003, shape),
        "bright": lambda: rng.normal(0.6, 0.01, shape),
        "quantised": lambda: np.round(rng.normal(500, rng.uniform(0.2, 2, pixels), shape)) / 65535,
        "near zero": lambda: np.round(rng.normal(3, 2, shape)) / 65535,
        "heavy tails": lambda: 0.3 + 0.001 * rng.standard_cauchy(shape),
        "outliers": lambda: np.where(
            rng.random(shape) < 0.1, rng.random(shape), rng.normal(0.1, 0.001, shape)
        ),
        "constant": lambda: np.full(shape, rng.random()),
        "extremes": lambda: rng.integers(0, 2, shape),
        "two levels": lambda: rng.integers(500, 502, shape) / 65535,
        "rising": lambda: np.sort(rng.random(shape), axis=0),
        "8-bit": lambda: np.round(rng.normal(80, 2, shape)) / 255,
        "32-bit": lambda: np.round(rng.normal(2**31, 2**20, shape)) / (2**32 - 1),
        "last places": lambda: 0.5 + np.round(rng.normal(0, 3, shape)) * 2.0**-24,
        "tiny": lambda: 1e-20 * rng.normal(1, 0.1, shape),
        "near the cutoff": lambda: np.where(
            rng.random(shape) < 0.03,
            0.1 + rng.uniform(0.0049, 0.0051, shape),
            rng.normal(0.1, 0.001, shape),
        ),
        # All but one become equal: hundreds of steps.
        "one alone": lambda: np.where(
            np.arange(n)[:, None] == rng.integers(0, n, pixels),
            rng.random(pixels),
            np.round(rng.normal(20000, 0.7, shape)) / 65535,
        ),
        # Samples that are not finite become 0.
        "not finite": lambda: np.where(rng.random(shape) < 0.2, 0, rng.normal(0.1, 0.001, shape)),
        "two clusters": lambda: np.where(
            rng.random(shape) < rng.uniform(0.3, 0.7, shape[1]),
            rng.normal(0.1, 0.001, shape),
            rng.normal(0.105, 0.0003, shape),
        ),
    }[kind]()
    return (np.clip(samples, 0, 1) + 0.0).astype(np.float32)  # no negative zeros


KINDS = (
    *("gaussian", "bright", "quantised", "near zero", "heavy tails", "outliers", "constant"),
    *("extremes", "two levels", "rising", "two clusters", "8-bit", "32-bit", "last places"),
    *("tiny", "near the cutoff", "one alone", "not finite"),
)


@given(
    n=st.one_of(st.integers(3, 12), st.integers(13, 64), st.sampled_from([100, 199, 200, 300])),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    low=st.sampled_from([4.0, 2.0, 1.5]),
    high=st.sampled_from([3.0, 2.0]),
)
@settings(max_examples=150, deadline=None)
def test_random_stacks_are_winsorized_as_by_the_reference(
    n: int, kind: str, seed: int, low: float, high: float
) -> None:
    samples = stacks(np.random.default_rng(seed), kind, n, 900 // n + 5)
    assert_equal_to_reference(samples, Integration(sigmaLow=low, sigmaHigh=high))


@given(
    n=st.one_of(st.integers(3, 70), st.sampled_from([128, 300, 1000])),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    limits=st.sampled_from([(4.0, 3.0, 5.0), (1.5, 1.5, 5.0), (3.0, 2.5, 0.0), (0.5, 0.5, 2.0)]),
    sides=st.sampled_from([(True, True), (False, True), (True, False)]),
)
@settings(max_examples=150, deadline=None)
def test_fast_kernels_give_the_bytes_of_the_exact_ones(
    n: int,
    kind: str,
    seed: int,
    limits: tuple[float, float, float],
    sides: tuple[bool, bool],
) -> None:
    samples = stacks(np.random.default_rng(seed), kind, n, 20_000 // n)
    low, high, cutoff = limits
    chosen = Integration(
        sigmaLow=low,
        sigmaHigh=high,
        winsorizationCutoff=cutoff,
        clipLow=sides[0],
        clipHigh=sides[1],
        generateRejectionMaps=True,
    )
    assert_same(made(samples, chosen), made(samples, chosen, exact=True))
    codes = np.round(65535 * samples).astype(np.uint16)
    assert_same(made(codes, chosen), made(codes, chosen, exact=True))


def assert_same_right_next_to_the_limits(samples: np.ndarray, high: float) -> None:
    """Move the first sample of each pixel to where the exact kernels begin to reject it."""
    chosen = Integration(sigmaHigh=high, generateRejectionMaps=True)
    kept, rejected = samples.max(axis=0), np.full(samples.shape[1], 0.02, np.float32)
    for _ in range(32):
        samples[0] = (kept + rejected) / 2
        maps = made(samples, chosen, exact=True).maps
        assert maps is not None
        is_kept = maps[1] == 0
        kept, rejected = (
            np.where(is_kept, samples[0], kept),
            np.where(is_kept, rejected, samples[0]),
        )
    for sample in (np.nextafter(kept, np.float32(0)), kept, rejected):
        samples[0] = sample
        assert_same(made(samples, chosen), made(samples, chosen, exact=True))


@pytest.mark.parametrize("n", [4, 7, 10, 30, 100])
def test_the_bound_decides_right_next_to_the_limits(n: int) -> None:
    # A bound that is much too small does not see that the fast kernels may err there.
    samples = np.random.default_rng(n).normal(0.002, 0.0003, (n, 2000)).astype(np.float32)
    assert_same_right_next_to_the_limits(samples, 2.0 if n < 10 else 3.0)


def huber_sigmas(samples: np.ndarray, steps: int) -> np.ndarray:
    """Sigma of each pixel after each of Huber's steps, which begin with a normal estimate."""
    values, centre = np.sort(samples, axis=0), np.median(samples, axis=0)
    sigma = 1.4826 * np.median(abs(values - centre), axis=0)
    sigmas = []
    for _ in range(steps):
        values = np.clip(values, centre - 1.5 * sigma, centre + 1.5 * sigma)
        centre, sigma = values.mean(axis=0), 1.134 * values.std(axis=0, ddof=1)
        sigmas.append(sigma)
    return np.array(sigmas)


@pytest.mark.parametrize("n", [8, 10, 17, 39])
def test_the_enclosure_holds_where_sigma_changes_late(n: int) -> None:
    # Samples are changed at random to stacks whose sigma falls by up to 6 %, the width of the
    # enclosure, only after the two steps that precede it: as far as it may, and still be enclosed.
    rng, pixels = np.random.default_rng(n), 600
    samples = rng.normal(0.002, 0.0003, (n, pixels))
    samples[0] = 0.008
    wanted = rng.uniform(0.01, 0.06, pixels)
    miss = np.full(pixels, np.inf)
    for spread in np.repeat([3e-4, 1e-4, 3e-5], 120):
        tried = samples.copy()
        moved = rng.integers(1, n, (2, pixels))
        tried[moved, np.arange(pixels)] += rng.normal(0, spread, (2, pixels))
        sigmas = huber_sigmas(tried, 20)
        miss_now = abs(1 - sigmas[-1] / sigmas[1] - wanted)
        samples = np.where(miss_now < miss, tried, samples)
        miss = np.minimum(miss, miss_now)
    assert np.median(miss) < 0.001
    assert_same_right_next_to_the_limits(samples.astype(np.float32), 2.0 if n < 10 else 3.0)


def test_fast_kernels_give_the_bytes_of_the_exact_ones_at_the_limits() -> None:
    # Limits are set to the highest sample of a stack, and to the adjacent floats.
    rng = np.random.default_rng(12)
    for n in (4, 9, 20, 33):
        samples = stacks(rng, "gaussian", n, 500)
        for column in samples.T[:40]:
            ordered = np.sort(column)
            centre, sigma = reference.winsorized_huber(ordered, 5.0)
            limit = np.float32((float(ordered[-1]) - centre) / sigma)
            for high in (np.nextafter(limit, np.float32(0)), limit, np.nextafter(limit, 9)):
                chosen = Integration(sigmaHigh=float(high))
                assert_same(made(samples, chosen), made(samples, chosen, exact=True))


def assert_same(one: Integrated, other: Integrated) -> None:
    np.testing.assert_array_equal(one.pixels.view(np.uint32), other.pixels.view(np.uint32))
    np.testing.assert_array_equal([one.low, one.high], [other.low, other.high])
    assert one.hidden == other.hidden
    if one.maps is not None:
        np.testing.assert_array_equal(one.maps, other.maps)


@given(
    n=st.integers(3, 40),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    rejection=st.sampled_from(sorted(reference.REJECTIONS)),
    combination=st.sampled_from(sorted(reference.COMBINATIONS)),
    range_clip=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_random_stacks_are_combined_as_by_the_reference_with_every_method(
    n: int, kind: str, seed: int, rejection: str, combination: str, range_clip: bool
) -> None:
    chosen = Integration(
        rejection=rejection,
        combination=combination,
        rangeClipLow=range_clip,
        rangeClipHigh=range_clip,
        rangeHigh=0.7,
    )
    assert_equal_to_reference(stacks(np.random.default_rng(seed), kind, n, 25), chosen)


@pytest.mark.parametrize(
    ("rejection_side", "output_side"),
    list(
        itertools.product(
            ("NoRejectionNormalization", "EqualizeFluxes"),
            ("NoNormalization", "Additive", "Multiplicative"),
        )
    ),
)
def test_normalizations_equal_the_reference(rejection_side: str, output_side: str) -> None:
    rng = np.random.default_rng(3)
    locations = list(rng.uniform(0.2, 0.5, 9))
    samples = (rng.normal(1, 0.02, (9, 200)) * np.array(locations)[:, None]).astype(np.float32)
    samples[4, ::7] = 0
    chosen = Integration(rejectionNormalization=rejection_side, normalization=output_side)
    assert_equal_to_reference(samples, chosen, locations)


@pytest.mark.parametrize("kind", ["gaussian", "bright", "quantised", "constant", "extremes"])
@pytest.mark.parametrize("shape", [(300, 301), (257, 256), (255, 258)])
def test_medians_of_large_images_equal_the_reference(kind: str, shape: tuple[int, int]) -> None:
    image = stacks(np.random.default_rng(len(kind)), kind, *shape)
    assert levels.image_median(image) == reference_flats.image_median(image)
    assert location(image) == reference_flats.location(image)
    for centre in (float(image.mean()), 0.0):
        expected = reference_flats.image_mad(image, centre)
        assert levels.image_mad(image, centre) == expected


@pytest.mark.parametrize("seed", [40, 41, 44])
def test_the_median_beside_the_edge_of_a_bin_is_found(seed: int) -> None:
    """The upper sample of the middle decides an edge, and the lower one is just above it."""
    random = np.random.default_rng(seed)
    image = (np.abs(random.normal(0, 1, 70_000)) * 2e-4 + 1e-4).astype(np.float32)
    image[0] = 0.39
    median = levels.image_median(image)
    assert median == reference_flats.image_median(image)
    assert median == pytest.approx(np.median(image), abs=2 * reference_flats.BIN_WIDTH)


@given(seed=st.integers(0, 2**32 - 1), signal=st.sampled_from([0.0, 0.02, 0.3, 1.0, 3.0]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_darks_factor_equals_the_reference(seed: int, signal: float) -> None:
    rng = np.random.default_rng(seed)
    thermal = np.where(rng.random((61, 75)) < 0.03, rng.exponential(0.02, (61, 75)), 0)
    dark = (thermal + rng.normal(0, 1e-4, thermal.shape)).astype(np.float32)
    flat = np.round(65535 * (0.4 + signal * thermal) + rng.normal(0, 30, thermal.shape))
    target = np.clip(flat / 65535, 0, 1).astype(np.float32)
    for cfa, window in ((False, 0), (True, 0), (False, 40)):
        optimizer = darks.DarkOptimizer(dark, sigmas=3, window=window, cfa=cfa)
        expected = reference_flats.optimal_dark_scale(
            target, dark, sigmas=3, window=window, cfa=cfa
        )
        assert optimizer.fit(rows_of(target)) == expected


def test_every_16_bit_code_becomes_the_nearest_float() -> None:
    codes = np.arange(65536, dtype=np.uint16)
    stored = (codes.astype(np.int32) - 32768).astype(">i2").view(np.uint16)
    samples = np.empty(65536, np.float32)
    compiled.kernels().unpack(stored, samples, 65536)
    np.testing.assert_array_equal(samples, (codes / 65535).astype(np.float32))


def test_every_16_bit_code_becomes_the_same_float_in_a_tile() -> None:
    # With three equal frames, each pixel of the master is the float of its code.
    codes = np.tile(np.arange(65536, dtype=np.uint16), (3, 1))
    expected = (codes[0] / 65535).astype(np.float32)
    np.testing.assert_array_equal(made(codes, Integration()).pixels, expected)


def test_numba_alone_gives_the_same_bytes() -> None:
    samples = stacks(np.random.default_rng(8), "outliers", 10, 300)
    parameters = integration.parameters(Integration())
    results = []
    for functions in (compiled.kernels(), compiled.kernels(plain=True)):
        pixels, workspace = np.empty(300, np.float32), np.empty(80)
        counts = [np.zeros((2, 300), np.int64), np.zeros((2, 10), np.int64), np.zeros(1, np.int64)]
        functions.integrate(
            samples, samples, 10, 300, parameters, np.zeros(11), pixels, *counts, workspace
        )
        results.append((pixels.tobytes(), *(count.tobytes() for count in counts)))
    assert results[0] == results[1]


def test_kernels_are_compiled_with_the_longest_vectors_of_the_processor() -> None:
    program = (
        "from calmasters.engines.native import entries\n"
        "from numba.core.registry import cpu_target\n"
        "import llvmlite.binding as llvm\n"
        "features = cpu_target.target_context.codegen()._tm_features\n"
        "print(llvm.get_host_cpu_features().get('avx512f', False), '-prefer-256-bit' in features)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    has_them, uses_them = done.stdout.split()
    assert has_them == uses_them, done.stderr


def test_the_cache_depends_on_every_kernel_module() -> None:
    folder = Path(inspect.getfile(compiled)).parent
    kernel_modules = {
        path.stem
        for path in folder.glob("*.py")
        if any(
            isinstance(node, ast.ImportFrom)
            and node.module in {"numba", "calmasters.engines.native.stack"}
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    # Kernels have the constants of ``workspace.py`` compiled in.
    assert kernel_modules | {"workspace"} == set(compiled._KERNEL_MODULES)


@pytest.mark.parametrize("name", compiled.SIGNATURES)
def test_compiled_code_needs_nothing_of_numba(name: str) -> None:
    getattr(compiled.kernels(), name)
    code = code_cache.cached(compiled._cache_name(name), code_cache.cache_folders())
    assert code is not None
    compiled._require_self_contained(code[1])


def test_numba_loads_kernels_if_llvmlite_cannot_and_a_message_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str, code: object) -> None:
        raise AttributeError("_get_compiled_object")

    monkeypatch.setattr(compiled, "_link", fail)
    assert compiled._load_object("normalize") is None
    assert "AttributeError('_get_compiled_object')" in capsys.readouterr().err


@pytest.fixture(scope="module")
def machine_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the machine code of all kernels."""
    folder = tmp_path_factory.mktemp("kernels")
    for name in compiled.SIGNATURES:
        getattr(compiled.kernels(), name)
        file = compiled._cache_name(name)
        code = code_cache.cached(file, code_cache.cache_folders())
        if not code:
            pytest.skip("numba loads the kernels here")
        (folder / file).write_bytes(marshal.dumps(code))
    return folder


def test_a_system_without_tests_tries_machine_code_once(machine_code: Path) -> None:
    assert compiled.works_alone([machine_code])


def without_its_symbol(name: str, code: bytes) -> tuple[str, bytes]:
    return "no_such_symbol", code


def cut_off(name: str, code: bytes) -> tuple[str, bytes]:
    return name, code[: len(code) // 2]


@pytest.mark.parametrize("damage", [without_its_symbol, cut_off])
def test_machine_code_that_does_not_work_alone_is_left_to_numba(
    machine_code: Path, damage: Callable[[str, bytes], tuple[str, bytes]], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(machine_code, tmp_path / "kernels"))
    file = folder / compiled._cache_name("integrate")
    file.write_bytes(marshal.dumps(damage(*marshal.loads(file.read_bytes()))))
    assert not compiled.works_alone([folder])


def test_machine_code_with_wrong_results_is_left_to_numba(
    machine_code: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(machine_code, tmp_path / "kernels"))
    # As if samples were not normalized.
    another = folder / compiled._cache_name("decode")
    shutil.copy(another, folder / compiled._cache_name("normalize"))
    assert not compiled.works_alone([folder])


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != compiled._TESTED, reason="numba loads them here"
)
def test_kernels_that_were_compiled_before_load_without_numba() -> None:
    program = (
        "import sys; from calmasters.engines.native.compiled import kernels; kernels().normalize;"
        "print(*sorted({'numba', 'astropy', 'pandas', 'xisf'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_signatures_match_the_entry_points() -> None:
    for name, codes in compiled.SIGNATURES.items():
        assert len(inspect.signature(getattr(entries, name)).parameters) == len(codes), name
