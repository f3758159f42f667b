"""ImageIntegration and ImageCalibration with real pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from calmasters.engines.native.reference import Fate, integrate_pixel, normalized
from calmasters.engines.native.reference_flats import calibrate, location, optimal_dark_scale
from calmasters.engines.output_range import fix_range
from calmasters.settings import Integration
from standin.images import Image, Keyword, Pixels, read, write
from standin.objects import Int64, ScriptError
from standin.process import Process

#: The IMAGETYP that ImageIntegration writes; a master must have another one.
IMAGE_TYPES = {1: "BIAS", 2: "DARK", 3: "MASTER FLAT"}
STARLESS_WEIGHTS = {"SNREstimate", "SignalWeight", "PSFSignalWeight", "PSFSNR", "PSFScaleSNR"}


class ProcessFailedError(Exception):
    """A process fails; the reason is written to the console."""


# ImageIntegration ------------------------------------------------------------------------


def run_integration(process: Process) -> None:
    images = enabled_images(process)
    check_integration(process, images)
    values = process.values
    if values["evaluateSNR"]:
        process.core.write_console("** Warning: No valid PSF signal samples were found.")
    result, fates = combined(process, [image.pixels for image in images])
    keywords = [k for k in images[0].keywords if k.name not in ("IMAGETYP", "PEDESTAL")]
    pedestals = {k.value for image in images for k in image.keywords if k.name == "PEDESTAL"}
    if len(pedestals) == 1 and all(has_pedestal(image) for image in images):
        keywords.append(Keyword("PEDESTAL", *pedestals, "of all frames"))
    if image_type := IMAGE_TYPES.get(values.get("imageType", 0)):
        keywords.append(Keyword("IMAGETYP", f"'{image_type}'", "Type of image"))
    values["imageData"] = [image_data(fates[:, :, i]) for i in range(len(images))]
    make_windows(process, result, fates, keywords)


def has_pedestal(image: Image) -> bool:
    return any(keyword.name == "PEDESTAL" for keyword in image.keywords)


def enabled_images(process: Process) -> list[Image]:
    rows = process.values["images"]
    if len(rows) < 3:
        raise ProcessFailedError(
            "This instance of ImageIntegration defines less than three source images."
        )
    paths = [row[1] for row in rows if row[0]]
    if not paths:
        raise ProcessFailedError("No images have been selected.")
    if len(paths) < 3:
        raise ProcessFailedError("ImageIntegration requires at least three images.")
    return [read(path, process.values["inputHints"]) for path in paths]


def check_integration(process: Process, images: Sequence[Image]) -> None:
    if len({image.pixels.shape for image in images}) > 1:
        raise ProcessFailedError("Incompatible image geometry.")
    if process.item("rejection") == "LinearFit" and len(images) < 5:
        raise ProcessFailedError("Linear fit clipping requires at least five images.")
    if process.item("weightMode") in STARLESS_WEIGHTS:
        raise ProcessFailedError("Zero or insignificant PSF Signal Weight estimate.")
    if process.item("weightMode") != "DontCare":
        raise NotImplementedError(f"the stand-in has no weights {process.item('weightMode')}")


def combined(process: Process, frames: Sequence[Pixels]) -> tuple[Pixels, Any]:
    """Reject and combine; return the image and the fates, (height, width, frames)."""
    names = {field.name for field in fields(Integration)}
    settings = Integration(
        **{
            name: process.item(name) if process.rows[name]["type"] == "enum" else value
            for name, value in process.values.items()
            if name in names
        }
    )
    values = np.stack(normalize(frames, settings.rejectionNormalization), axis=-1)
    raws = np.stack(normalize(frames, settings.normalization), axis=-1)
    result, fates = np.empty(raws.shape[:2], np.float32), np.empty(raws.shape, np.int8)
    for at in np.ndindex(*result.shape):
        pixel = integrate_pixel(values[at], raws[at], settings)
        result[at], fates[at] = pixel.value, pixel.fates
    return fix_range(result, settings.truncateOnOutOfRange), fates


def normalize(frames: Sequence[Pixels], method: str) -> list[Pixels]:
    if method in ("NoNormalization", "NoRejectionNormalization"):
        return list(frames)
    if method not in ("Multiplicative", "EqualizeFluxes", "Additive"):
        raise ProcessFailedError(f"Normalization {method}: unable to compute a scale estimate.")
    levels = [location(frame) for frame in frames]
    if 0 in levels:
        raise ProcessFailedError("Zero or insignificant signal detected.")
    return [
        frames[0],
        *(
            normalized(frame, levels[0], level, method)
            for frame, level in zip(frames[1:], levels[1:], strict=True)
        ),
    ]


def image_data(fates: Any) -> list[float | Int64]:
    """Return a row of imageData: weights, rejected low and high, each of three channels."""
    count = Counter(fates.ravel().tolist())
    low, high = Int64(count[Fate.LOW]), Int64(count[Fate.HIGH])
    return [1.0, 0.0, 0.0, low, Int64(0), Int64(0), high, Int64(0), Int64(0)]


def make_windows(process: Process, result: Pixels, fates: Any, keywords: list[Keyword]) -> None:
    core, values = process.core, process.values
    values["integrationImageId"] = core.open_window("integration", Image(result, keywords))
    if values["generateRejectionMaps"]:
        for fate, name in ((Fate.LOW, "low"), (Fate.HIGH, "high")):
            share = (fates == fate).mean(axis=2).astype(np.float32)
            id_ = core.open_window(f"rejection_{name}", Image(share, []))
            values[f"{name}RejectionMapImageId"] = id_
    if values.get("generateSlopeMaps"):
        core.open_window("slope", Image(np.zeros_like(result), []))


# ImageCalibration ------------------------------------------------------------------------


def run_calibration(process: Process) -> None:
    values = process.values
    check_calibration(process)
    masters = [calibration_master(process, kind) for kind in ("Bias", "Dark")]
    bias, dark = (master.pixels if master else None for master in masters)
    if dark is not None and bias is not None and values["calibrateDark"]:
        dark = dark - bias
    is_mosaic = values["enableCFA"] and any(
        keyword.name == "BAYERPAT"
        for master in masters[1:]
        if master
        for keyword in master.keywords
    )
    values["outputData"] = [
        calibrated_row(process, path, bias, dark, bool(is_mosaic))
        for enabled, path in values["targetFrames"]
        if enabled
    ]
    if not any(row[0] for row in values["outputData"]):
        raise ProcessFailedError("No image could be calibrated.")


def check_calibration(process: Process) -> None:
    values = process.values
    if process.item("onError") == "AskUser":
        process.core.hang("onError: AskUser")
    enabled = [kind for kind in ("Bias", "Dark", "Flat") if values[f"master{kind}Enabled"]]
    if not enabled and not values["overscanEnabled"]:
        raise ProcessFailedError(
            "No master calibration frames or overscan regions have been specified."
        )
    for kind in enabled:
        if not values[f"master{kind}Path"]:
            raise ProcessFailedError(f"No master {kind.lower()} frame has been specified.")
    if not values["targetFrames"]:
        raise ProcessFailedError("No target frames have been specified.")
    if values["outputDirectory"] and not Path(values["outputDirectory"]).is_dir():
        raise ProcessFailedError("The specified output directory does not exist.")
    for _, path in values["targetFrames"]:
        if not Path(path).is_file():
            raise ProcessFailedError(f"No such file exists on the local filesystem: {path}")
    names = [Path(path).stem.lower() for _, path in values["targetFrames"]]
    if values["overwriteExistingFiles"] and len(set(names)) < len(names):
        raise ProcessFailedError("Duplicate output file names.")


def calibration_master(process: Process, kind: str) -> Image | None:
    if not process.values[f"master{kind}Enabled"]:
        return None
    return read_to_calibrate(process, process.values[f"master{kind}Path"])


def read_to_calibrate(process: Process, path: str) -> Image:
    """Read an image and subtract its pedestal according to the pedestal mode."""
    image = read(path, process.values["inputHints"])
    pedestal = float(process.values["pedestal"])
    if process.item("pedestalMode") == "Keyword":
        values = [k.value.strip("'") for k in image.keywords if k.name == "PEDESTAL"]
        pedestal = abs(float(values[0])) if values else 0.0
    return Image(image.pixels - np.float32(pedestal / 65535), image.keywords)


def calibrated_row(
    process: Process, path: str, bias: Pixels | None, dark: Pixels | None, is_mosaic: bool
) -> list[Any]:
    """Calibrate a frame; return its row of outputData, without a path if it failed."""
    row: list[Any] = ["", 0.0, 0.0, 0.0]
    try:
        image = read_to_calibrate(process, path)
        for master in (bias, dark):
            if master is not None and master.shape != image.pixels.shape:
                raise ProcessFailedError("Incompatible image geometry.")
        k = dark_factor(process, image.pixels, dark, is_mosaic)
        pedestal = process.values["outputPedestal"]
        pixels = calibrate(image.pixels, bias, dark, k, pedestal)
        keywords = [*image.keywords]
        if pedestal:
            keywords.append(Keyword("PEDESTAL", str(pedestal), "added"))
        row[0], row[1] = str(write_calibrated(process, path, Image(pixels, keywords))), float(k)
    except (ProcessFailedError, ScriptError) as error:
        process.core.write_console(f"*** Error: {error}: {path}")
        if process.item("onError") == "Abort":
            raise
    return row


def dark_factor(process: Process, target: Pixels, dark: Pixels | None, is_mosaic: bool) -> float:
    values = process.values
    if dark is None or not values["optimizeDarks"]:
        return 1.0
    sigmas, window = values["darkOptimizationLow"], values["darkOptimizationWindow"]
    return float(optimal_dark_scale(target, dark, sigmas=sigmas, window=window, cfa=is_mosaic))


def write_calibrated(process: Process, path: str, image: Image) -> Path:
    """Write a calibrated frame: always XISF; existing files get overwritten only if allowed."""
    values = process.values
    folder = Path(values["outputDirectory"] or Path(path).parent)
    stem = f"{values['outputPrefix']}{Path(path).stem}{values['outputPostfix']}"
    place, number = folder / f"{stem}.xisf", 0
    while place.exists() and not values["overwriteExistingFiles"]:
        number += 1
        place = folder / f"{stem}_{number}.xisf"
    place.touch()  # the empty file that remains if writing fails
    write(place, [image])
    return place


EXECUTE = {"ImageIntegration": run_integration, "ImageCalibration": run_calibration}
