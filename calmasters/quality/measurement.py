"""A master and its frames, read once, and the numbers that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Final

import numpy as np

from calmasters.errors import FrameError, plain_number
from calmasters.frame import FrameType
from calmasters.headers.amplifiers import amplifiers_in, amplifiers_of, declared_numbers
from calmasters.headers.dialects import MEASURED, FrameHeader, read_keywords
from calmasters.headers.fits_cards import CardValue, ImageHeader, first_of, number_of
from calmasters.headers.image_header import read_cards, read_header
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.master_record import MasterRecord
from calmasters.quality import lighting, noise_by_region, pairs, sequence, surface
from calmasters.quality.estimate import Estimate
from calmasters.quality.expected_rejection import expected_rejected_percent
from calmasters.quality.limits import Circumstances
from calmasters.quality.quality_record import (
    QualityRecord,
    RegionQuality,
)
from calmasters.quality.read_noise import quantum
from calmasters.quality.regions import regions_of
from calmasters.quality.sample import ADU, Float32, FrameSample
from calmasters.quality.telegraph import telegraph_share
from calmasters.quality.verification import Applied, Residuals, verify
from calmasters.settings import Settings

__all__ = ["BiasReference", "Measurement"]

#: Lower limits of the sigma by which frames stand out: of the share of rejected samples, also as a
#: part of the usual one, and of the level in units of the noise.
_REJECTED_FLOOR: Final = 0.002
_REJECTED_SHARE: Final = 0.2
_LEVEL_FLOOR: Final = 0.5
#: Values from this share of white on count as saturated.
_SATURATED: Final = 0.99
#: Distance of values of 8 bits, ADU of 16 bits.
_STEP_OF_8_BITS: Final = 257.0
_TOO_SMALL: Final = "the frames are too small: at least 8 pixels a side"
_NOT_VERIFIED: Final = (
    "the master cannot be applied to its frames: fewer than two of them are alike, they have no "
    "noise, the master is no average, or its bias, its dark or the dark's factor is not known"
)
#: Relative uncertainty of a read noise that was recorded without one.
_OLD_ERROR: Final = 0.02
#: Dark current of a hot pixel, e-/s; ADU/s where there is no gain.
_MUCH_DARK_CURRENT: Final = 2.0


@dataclass(frozen=True)
class BiasReference:
    """The bias that a dark or flat is measured against.

    Attributes
    ----------
    bias : Path or None
        The bias master that belongs to a dark or flat.
    bias_quality : Path or None
        Its ``quality/<name>.json``, for the read noise.
    """

    bias: Path | None = None
    bias_quality: Path | None = None

    def regions(self) -> tuple[Mapping[str, RegionQuality], float]:
        """Return the noise of the bias frames by the name of the region, and their number."""
        if self.bias_quality is None:
            return {}, 1.0
        record = QualityRecord.read(self.bias_quality)
        regions = {region.name: region for region in record.regions}
        if not regions and (noise := record.numbers.get("read_noise_adu")):
            # A kept master whose noise was measured before there were regions.
            estimates = {
                "pixel_variance_adu2": Estimate(noise**2, 2 * _OLD_ERROR * noise**2),
                "read_noise_adu": Estimate(noise, _OLD_ERROR * noise),
            }
            regions = {"": RegionQuality("", "", estimates)}
        return regions, record.numbers.get("frames", 1.0)


class Measurement:
    """A master and its frames, read once and used by many numbers."""

    def __init__(
        self,
        job: MasterJob,
        master: Path,
        record: Path,
        reference: BiasReference,
        settings: Settings,
    ) -> None:
        self.record = MasterRecord.read(record)
        self.job = self.record.with_used_frames(job)
        self.reference, self.settings = reference, settings
        self.image = self._read(master)
        self.bias = self._read(reference.bias) if reference.bias else None
        paths = [settings.input_dir / frame.path for frame in self.job.frames]
        self.headers = [
            self._header(path, frame.path)
            for path, frame in zip(paths, self.job.frames, strict=True)
        ]
        self.sample = FrameSample.read(paths, job.geometry, job.recipe.frame_range, job.added_adu)
        self.levels = sequence.levels(self.sample.frames)

    def _read(self, master: Path) -> Float32:
        image, _ = read_image(master)
        geometry = self.job.geometry
        if image.shape != (geometry.height, geometry.width):
            raise FrameError(
                f"measuring {self.job.name}: {master} has {image.shape[1]}x{image.shape[0]} "
                f"pixels, expected {geometry.width}x{geometry.height}: rebuild this master"
            )
        return image

    def _header(self, path: Path, relative: str) -> tuple[FrameHeader, Mapping[str, CardValue]]:
        cards = read_cards(path)
        return read_keywords(cards, PurePosixPath(relative), self.settings.headers), cards

    def numbers(self) -> Iterator[tuple[str, float | None]]:
        """Return all numbers, by name; None for a number that cannot be measured."""
        yield "frames", len(self.job.frames)
        yield "level_adu", float(np.median(self.image)) * ADU
        kinds = {FrameType.BIAS: self._bias, FrameType.DARK: self._dark, FrameType.FLAT: self._flat}
        yield from kinds[self.job.type]()
        yield from self._residual_numbers()
        yield "rejected_percent", self._rejected_percent

    def _bias(self) -> Iterator[tuple[str, float | None]]:
        noise = self.noise
        for name, estimate in self.estimates.items():
            yield name, estimate.value
        yield from self._unlit(noise)
        image = self.image * np.float32(ADU)
        pattern = surface.fixed_pattern(image, noise / math.sqrt(len(self.job.frames)))
        yield "fixed_pattern_adu", pattern
        rows, columns = surface.banding(image)
        yield "row_banding_adu", rows
        yield "column_banding_adu", columns
        if noise:
            yield "fixed_pattern_over_noise", pattern / noise
            yield "banding_over_noise", max(rows, columns) / noise

    def _dark(self) -> Iterator[tuple[str, float | None]]:
        noise = self.noise
        yield "noise_adu", noise
        yield from self._dark_current()
        yield from self._unlit(noise)
        excess = surface.residual(self.image * np.float32(ADU))
        own = surface.spread(excess)
        odd = surface.odd_in(excess, own, noise)
        for kind, mask in zip(odd._fields, odd, strict=True):
            yield f"{kind}_pixels", float(np.count_nonzero(mask))
        yield "hot_percent", 100 * float(odd.hot.mean())
        yield "cold_percent", 100 * float(odd.cold.mean())
        for name, estimate in self.estimates.items():
            yield name, estimate.value
        yield from self._hot_rates(excess, own, noise)
        # The corners of the bias may glow, too: that is not light of the exposure.
        lit = self.image if self.bias is None else self.image - self.bias
        glow = surface.glow(lit) * ADU
        yield "glow_adu", glow
        yield "glow_over_noise", glow / noise if noise else None
        if self.exposure_s:
            yield f"glow_{self._rate_unit}", glow * (self.header_gain or 1.0) / self.exposure_s
        if temperatures := self._temperatures:
            yield "temperature_spread_c", max(temperatures) - min(temperatures)

    def _hot_rates(
        self, excess: Float32, own: float, noise: float
    ) -> Iterator[tuple[str, float | None]]:
        """Return how many pixels have much dark current, whatever the exposure is.

        A pixel counts if it is 5 sigmas above its surroundings: of the master with a gain, and of
        a single frame without, since 2 ADU/s may be few electrons. Short darks show only pixels
        above a limit that is larger than 2 e-/s.
        """
        if not self.exposure_s:
            return
        gain = self.header_gain or 1.0
        least = 5 * (own if self.header_gain else max(own, noise))
        limit = max(_MUCH_DARK_CURRENT * self.exposure_s / gain, least)
        above = excess[excess > limit]
        if self.bias is not None and above.size:
            # What stands out in the bias as well is not dark current.
            bias = self.bias[excess > limit] - np.median(self.bias)
            above = above - bias * np.float32(ADU)
        count = int(np.count_nonzero(above > limit))
        yield "hot_rate_percent", 100 * count / excess.size
        yield f"hot_limit_{self._rate_unit}", limit * gain / self.exposure_s

    @property
    def _rate_unit(self) -> str:
        """How the names of numbers per second end: in electrons where the header has a gain."""
        return "e_s" if self.header_gain else "adu_s"

    def _dark_current(self) -> Iterator[tuple[str, float | None]]:
        if self.bias is None:
            return
        signal = float(np.median(self.image - self.bias)) * ADU
        yield "dark_signal_adu", signal
        if self.exposure_s:
            yield "dark_current_adu_s", signal / self.exposure_s
            if self.header_gain:
                yield "dark_current_e_s", signal / self.exposure_s * self.header_gain

    def _unlit(self, noise: float) -> Iterator[tuple[str, float | None]]:
        """Return the numbers that bias and dark have in common."""
        yield "black_percent", 100 * float((self.sample.frames <= 0).mean())
        drift = sequence.drift(self.levels)
        yield "drift_adu", drift
        # Noise below half a step of the camera cannot be seen, nor can such a drift.
        visible = max(noise, self._step / 2)
        yield "drift_over_noise", drift / visible if visible else None
        yield from self._remaining()

    def _flat(self) -> Iterator[tuple[str, float | None]]:
        white = self._white_adu
        if self.is_lit_in_lines:
            yield from self._lit_part(white)
        else:
            yield "level_percent", 100 * median(self.levels) / white
        faintest = min(self.levels)
        yield "level_spread", max(self.levels) / faintest if faintest > 0 else None
        yield (
            "saturated_percent",
            100 * float((self.sample.frames >= _SATURATED * white).mean()),
        )
        yield from self._photon_transfer()
        yield from self._remaining()
        if not self.is_lit_in_lines:
            yield from self._shape()

    def _photon_transfer(self) -> Iterator[tuple[str, float | None]]:
        for name, estimate in self.estimates.items():
            yield name, estimate.value
        yield "noise_adu", self._noise_of_flat

    def _lit_part(self, white: float) -> Iterator[tuple[str, float | None]]:
        """Return numbers of a flat that is lit in lines."""
        bright = [
            float(np.percentile(frame, lighting.BRIGHT_PERCENTILE)) for frame in self.sample.frames
        ]
        lit = lighting.lit_part(self.sample.of(self.grey))
        yield "bright_percent", 100 * median(bright) / white
        yield "lit_percent", 100 * float(lit.mean())
        yield "lit_noise_percent", 100 * lighting.lit_noise(self.lit.frames, lit)

    def _shape(self) -> Iterator[tuple[str, float | None]]:
        noise, level = self._noise_of_master, self._lit_level
        if noise:
            yield "master_noise_percent", min(100.0, 100 * noise / max(level, 1e-9))
        if level <= noise:
            return  # no light: nothing has a shape
        yield "corner_to_centre", surface.corner_to_centre(self.grey)
        gradient = surface.gradient(self.grey)
        yield "gradient_percent", None if gradient is None else 100 * gradient
        temporal = noise / level
        yield "response_spread_percent", 100 * surface.response_spread(self.grey, temporal)
        dust = surface.dust_shadows(surface.structure(self.grey))
        yield "dust_percent", 100 * dust.share
        yield "dust_depth_percent", 100 * dust.depth

    def _remaining(self) -> Iterator[tuple[str, float | None]]:
        if self.remaining:
            left, expected = self.remaining
            yield "master_noise_adu", left
            yield "noise_over_expected", left / expected if expected else None

    def _residual_numbers(self) -> Iterator[tuple[str, float | None]]:
        """Return what remains of the frames when the master is applied to them."""
        if residuals := self.residuals:
            yield "residual_adu", residuals.mean_adu.value
            yield "residual_over_error", residuals.mean_over_error
            yield "residual_noise_over_expected", residuals.noise_over_expected
            yield "residual_pixels_over_noise", residuals.pixels_over_noise
            yield "residual_pattern_over_noise", residuals.pattern_over_noise

    def circumstances(self, uncertainties: Mapping[str, float]) -> Circumstances:
        """Return what limits depend on."""
        kind, frames = self.job.type, len(self.job.frames)
        noise = self._noise_of_flat if kind is FrameType.FLAT else self.noise
        expected = expected_rejected_percent(
            self.job.recipe.integration, kind, frames, median(self.levels), noise or 1.0
        )
        temperatures = self._temperatures
        traits = self.headers[0][0].traits
        return Circumstances(
            rejected_percent=round(expected, 1),
            noise_adu=noise or 0.0,
            step_adu=self._step,
            exposure_s=self.exposure_s,
            gain_e_adu=self.header_gain,
            sensor_c=median(temperatures) if temperatures else None,
            has_set_point="SET-TEMP" in traits.keywords
            and traits.sources.get("SET-TEMP") != MEASURED,
            has_bias=self.bias is not None,
            is_part=any(self.job.geometry.origin),
            uncertainties=uncertainties,
        )

    @cached_property
    def noise(self) -> float:
        """Noise of one bias or dark frame, ADU."""
        if self.job.type is FrameType.BIAS:
            value = self.estimates["read_noise_adu"].value
            return value if value is not None else pairs.read_noise(self.sample)
        return pairs.read_noise(self.sample)

    @cached_property
    def regions(self) -> list[RegionQuality]:
        """Numbers of a bias or a flat by amplifier and colour."""
        if self.job.type is FrameType.DARK:
            return []
        geometry = self.job.geometry
        header = read_header(self.settings.input_dir / self.job.frames[0].path)
        amplifiers = (
            amplifiers_in(geometry.layout)
            if geometry.layout
            else amplifiers_of(header, geometry.width, geometry.height)
        )
        regions = regions_of(self.sample.rows, geometry, amplifiers)
        if self.job.type is FrameType.BIAS:
            return self._with_declared(noise_by_region.of_bias(self.sample.frames, regions), header)
        offset = self.sample.of(self.bias) if self.bias is not None else None
        noise, frames = self.reference.regions()
        flats = noise_by_region.FlatFrames(
            self.sample.frames, self._exposures_s, _saturate_adu(header.cards)
        )
        dark = noise_by_region.Dark(offset, frames, noise)
        return self._with_declared(noise_by_region.of_flats(flats, regions, dark), header)

    def _with_declared(
        self, regions: Sequence[RegionQuality], header: ImageHeader
    ) -> list[RegionQuality]:
        """Add what the header gives for each amplifier of a frame that is put together."""
        layout = self.job.geometry.layout
        parts = {part.name: part for part in layout.parts} if layout else {}
        return [
            replace(region, declared=declared_numbers(header, parts[region.amplifier]))
            if region.amplifier in parts
            else region
            for region in regions
        ]

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Numbers with uncertainties, or the reason why they are unknown."""
        found = noise_by_region.of_camera(self.regions)
        if self.job.type is FrameType.BIAS:
            found.setdefault("read_noise_adu", Estimate.unknown(_TOO_SMALL))
            if self.header_gain:
                found["read_noise_e"] = found["read_noise_adu"].times(
                    Estimate(self.header_gain, 0.0)
                )
        elif self.job.type is FrameType.DARK:
            share = telegraph_share(self.sample, self.noise)
            found["telegraph_pixels"] = share.times(Estimate(self.image.size, 0.0))
            found["telegraph_percent"] = share.times(Estimate(100.0, 0.0))
        elif self.job.type is FrameType.FLAT:
            gain = found.setdefault("gain_e_adu", Estimate.unknown(_TOO_SMALL))
            if self.header_gain and gain.known:
                found["gain_of_header"] = gain.times(Estimate(1 / self.header_gain, 0.0))
        return found

    @cached_property
    def residuals(self) -> Residuals | None:
        """What remains of the frames when the master is applied to them; None if unknown."""
        factors = self._dark_factors
        if factors is None:
            return None
        locations = [frame.location for frame in self.record.frames]
        known = [location * ADU for location in locations if location is not None]
        try:
            bias, dark = map(self._sampled, (self.job.bias, self.job.dark))
        except (FrameError, OSError):
            return None  # The library with it is not there now.
        applied = Applied(
            self.sample.of(self.image),
            self.job.type,
            self.job.recipe.integration,
            (0.0 if bias is None else bias) - self._pedestal_adu,
            0.0 if dark is None else dark if bias is None else dark - bias,
            factors,
            known if len(known) == len(locations) else None,
            frozenset(self._odd_in_level),
        )
        return verify(self.sample, applied)

    @property
    def residual(self) -> Estimate:
        """Mean of all frames less the master, ADU."""
        return self.residuals.mean_adu if self.residuals else Estimate.unknown(_NOT_VERIFIED)

    def _sampled(self, used: UsedMaster | None) -> Float32 | None:
        """Read the rows of the sample of a master that calibrated this one, ADU."""
        if used is None:
            return None
        path = used.located(self.settings.output_dir)
        if self.bias is not None and path == self.reference.bias:
            return self.sample.of(self.bias)
        return self.sample.of(self._read(path))

    @property
    def _dark_factors(self) -> Sequence[float] | None:
        """The factor of the dark for each frame; None where the engine did not tell it."""
        factors = [frame.k for frame in self.record.frames]
        if self.job.dark is None or not self.job.optimize_dark:
            return [1.0 if factor is None else factor for factor in factors]
        known = [factor for factor in factors if factor is not None]
        return known if len(known) == len(factors) else None

    @property
    def _pedestal_adu(self) -> int:
        """What calibration added to the flats, ADU."""
        calibration = self.job.recipe.calibration
        is_calibrated = self.job.bias is not None or self.job.dark is not None
        return calibration.outputPedestal if calibration and is_calibrated else 0

    @property
    def _exposures_s(self) -> list[float] | None:
        """Exposure of each frame, seconds; None where one is unknown."""
        values = [
            number_of(description.traits.keywords.get("EXPOSURE"))
            for description, _ in self.headers
        ]
        known = [value for value in values if value is not None and value > 0]
        return known if len(known) == len(values) else None

    @cached_property
    def lit(self) -> FrameSample:
        """The sample of flats, less the bias."""
        return self.sample.less(self.sample.of(self.bias) if self.bias is not None else 0.0)

    @cached_property
    def remaining(self) -> tuple[float, float] | None:
        """Measured and expected noise of the master, ADU; None for fewer than 4 frames."""
        if len(self.job.frames) < 4:
            return None
        if self.job.type is FrameType.FLAT:
            return pairs.remaining_noise(self.lit, self._to_one_level)
        return pairs.remaining_noise(self.sample, lambda frame: frame - np.median(frame))

    def _to_one_level(self, frame: Float32) -> Float32:
        return frame * np.float32(self._lit_level / max(float(frame.mean()), 1e-9))

    @cached_property
    def grey(self) -> Float32:
        """The image; of a mosaic, without its colours."""
        return surface.grey(self.image) if self.job.geometry.bayerpat else self.image

    @property
    def _white_adu(self) -> float:
        """White as it is known, or else that of 16 bits."""
        white = self.estimates.get("white_adu")
        return ADU if white is None or white.value is None else white.value

    @property
    def _noise_of_flat(self) -> float | None:
        """Noise of one flat at its level, ADU; None where no pair shows it."""
        variances = [point[1] for region in self.regions for point in region.points]
        return math.sqrt(max(0.0, median(variances))) if variances else None

    @property
    def _noise_of_master(self) -> float:
        """Noise that averaging leaves in a flat, ADU; of few frames, as it should be."""
        if self.remaining:
            return self.remaining[0]
        return (self._noise_of_flat or 0.0) / math.sqrt(len(self.job.frames))

    @cached_property
    def is_lit_in_lines(self) -> bool:
        """Whether the master is the flat of a spectrograph or of fibres."""
        return lighting.is_lit_in_lines(self.image, self._noise_of_master / ADU)

    @cached_property
    def _step(self) -> float:
        """The step between values of the camera, ADU; 0 where they are not integers."""
        return quantum(self.sample.frames[0])

    @property
    def header_gain(self) -> float | None:
        """Electrons per ADU from EGAIN or E-GAIN of the first frame; None without them.

        Samples of 8 bits are stretched to 16 bits, so that an electron is more ADU.
        """
        _, cards = self.headers[0]
        value = number_of(first_of(cards, ("EGAIN", "E-GAIN"))[1])
        if not value or value <= 0:
            return None
        return value / _STEP_OF_8_BITS if cards.get("BITPIX") == 8 else value

    @property
    def exposure_s(self) -> float:
        """Median exposure, seconds; 0 where unknown."""
        return number_of(self.job.header.get("EXPTIME")) or 0.0

    @property
    def _lit_level(self) -> float:
        offset = float(np.median(self.bias)) * ADU if self.bias is not None else 0.0
        return median(self.levels) - offset

    @property
    def _temperatures(self) -> list[float]:
        values = (description.ccd_temp_c for description, _ in self.headers)
        return [value for value in values if value is not None]

    @cached_property
    def rejected(self) -> list[float]:
        """Share of rejected samples by frame; empty where the engine does not count them so."""
        counts = [(frame.low, frame.high) for frame in self.record.frames]
        known = [low + high for low, high in counts if low is not None and high is not None]
        return [count / self.image.size for count in known] if len(known) == len(counts) else []

    @property
    def _rejected_percent(self) -> float | None:
        """Median over the frames; where the engine counts only the total, the share of all."""
        if self.rejected:
            return 100 * median(self.rejected)
        low, high = self.record.rejected_low, self.record.rejected_high
        if low is None or high is None:
            return None
        return 100 * float(low + high) / (self.image.size * len(self.job.frames))

    def rings(self) -> list[float]:
        """Return the vignetting of an evenly lit flat; an empty list for other masters."""
        is_even = self.job.type is FrameType.FLAT and not self.is_lit_in_lines
        return surface.vignetting(self.grey) if is_even else []

    @cached_property
    def standing_out(self) -> dict[int, str]:
        """How frames differ from the others, by their index."""
        differences = self._much_rejected()
        if self.residuals:
            differences |= self.residuals.noisy_frames
        return differences | self._odd_in_level

    @cached_property
    def _odd_in_level(self) -> dict[int, str]:
        """How frames differ from the others in level, or as the engine found before, by index."""
        differences = {}
        if self.job.type is not FrameType.FLAT:
            floor = _LEVEL_FLOOR * max(self.noise, 0.5)
            usual_level = median(self.levels)
            for place in sequence.standing_out(self.levels, floor):
                level = self.levels[place]
                differences[place] = f"its level is {level:.1f} ADU, usual {usual_level:.1f}"
        by_engine = {
            place: frame.difference
            for place, frame in enumerate(self.record.frames)
            if frame.difference
        }
        return differences | by_engine

    def _much_rejected(self) -> dict[int, str]:
        if not self.rejected:
            return {}
        middle = median(self.rejected)
        usual = plain_number(100 * middle, 2)
        # Of few frames the rejection takes several percent, and chance decides from which.
        floor = max(_REJECTED_FLOOR, _REJECTED_SHARE * middle)
        return {
            place: f"{plain_number(100 * self.rejected[place], 2)} % of its samples were "
            f"rejected, usual {usual} %"
            for place in sequence.standing_out(self.rejected, floor)
        }


def _saturate_adu(cards: Mapping[str, CardValue]) -> float | None:
    """Read SATURATE; None where samples are not ADU of 16 bits."""
    value = number_of(cards.get("SATURATE"))
    if cards.get("BITPIX") != 16 or value is None:
        return None
    return value if 0 < value <= ADU else None
