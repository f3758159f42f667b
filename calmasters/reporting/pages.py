"""Write the report of a run, one page that opens from disk: ``output_dir/report.html``."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from calmasters import __version__
from calmasters.atomic_files import replacing
from calmasters.errors import shell_words
from calmasters.frame import FrameType, Status, format_value
from calmasters.inventory.table import column_text
from calmasters.inventory.unused_frames import ignored_by_reason, refused_by_remedy
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.layout import LEAVE_OUT
from calmasters.planning.planner import Decision
from calmasters.quality.causes import shared_causes
from calmasters.quality.quality_record import Level, RegionQuality
from calmasters.quality.trend import Trend
from calmasters.reporting.collect import ReportContent
from calmasters.reporting.digits import measured, short, temperature
from calmasters.reporting.masters import Master
from calmasters.reporting.pictures import is_blank
from calmasters.reporting.plots import draw_dark_temperature, draw_photon_transfer, draw_trend

__all__ = ["room_for_pictures", "write_report"]

#: In the place of a remedy, for frames that the inventory accepted and a job left out.
_LEFT_OUT: Final = "left out when a master was made, because of their pixels"

#: Largest size of a page, bytes, of the card of a master without pictures, and of one of its
#: frames; of the pictures in a page, and what they have where there are very many masters.
_PAGE_BYTES: Final = 9_500_000
_CARD_BYTES, _FRAME_BYTES = 14_000, 300
_PICTURE_BYTES, _LEAST_PICTURE_BYTES = 6_500_000, 1_000_000
#: And of those of a comparison of engines.
_DIFFERENCE_BYTES: Final = 1_000_000


@dataclass
class _Night:
    """The frames of one camera in one night."""

    camera: str
    night: str
    counts: Counter[str]
    groups: set[str]


@dataclass
class _Calibration:
    """The flats that use the same bias and dark."""

    bias: UsedMaster | None
    dark: UsedMaster | None
    flats: list[Master]


def write_report(path: Path, content: ReportContent, picture_bytes: int | None = None) -> None:
    """Write the report, whole or not at all.

    Parameters
    ----------
    path : Path
        ``report.html``; links to other files are relative to its folder.
    content : ReportContent
    picture_bytes : int or None
        Largest size of the pictures in the page: first previews of complete masters, then sections
        at 1:1. Other pictures are only linked. None keeps the page below 10 MB.
    """
    if picture_bytes is None:
        picture_bytes = room_for_pictures(content.masters)
    page = _environment(path.parent).get_template("report.html.j2")
    script = _template("script.js")
    text = page.render(
        **_about_masters(content, picture_bytes),
        **_about_frames(content),
        comparison=content.comparison,
        differences=_differences(content, path.parent),
        cameras=[
            (camera, draw_photon_transfer(camera.setting, camera.regions))
            for camera in content.cameras
        ],
        defects=content.defects,
        trends=[(trend, draw_trend(trend)) for trend in _worth_drawing(content.trends)],
        temperatures=[(each, draw_dark_temperature(each)) for each in content.temperatures],
        odd_frames=content.odd_frames,
        odd_but_kept=content.odd_but_kept,
        leave_out_file=shell_words([(path.parent / LEAVE_OUT).as_posix()]),
        version=__version__,
        created=datetime.now().astimezone(),
        style=Markup(_template("style.css")),
        script=Markup(script),
        # Only this script may run, even if another gets into the page.
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
    with replacing(path) as file:
        file.write(text.encode("utf-8", "replace"))


def room_for_pictures(masters: Sequence[Master]) -> int:
    """Return how large the pictures may be beside the text: at least 1 MB."""
    frames = sum(len(master.quality.frames) for master in masters)
    room = _PAGE_BYTES - _CARD_BYTES * len(masters) - _FRAME_BYTES * frames
    return max(_LEAST_PICTURE_BYTES, min(_PICTURE_BYTES, room))


def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=PackageLoader("calmasters.reporting"),
        autoescape=True,  # header values are text, even if they look like markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "short": short,
        "measured": measured,
        "temperature": temperature,
        "sentence": _sentence,
        "reasons": _reasons,
        "link": lambda file: quote(Path(file).relative_to(folder).as_posix()),
    }
    return environment


def _sentence(text: str) -> str:
    """Begin a text with a capital letter, unless it begins with a file or a unit."""
    first, *_ = text.split(maxsplit=1) or ("",)
    return text[0].upper() + text[1:] if first.isalpha() and first.islower() else text


def _reasons(
    regions: Iterable[RegionQuality], titles: Iterable[tuple[str, str]]
) -> list[tuple[str, list[str]]]:
    """Give each reason why there is no number once, with the titles of these numbers."""
    names: dict[str, list[str]] = {}
    for region, (number, title) in product(regions, titles):
        reason = region.estimates[number].reason if number in region.estimates else ""
        if reason and title not in names.setdefault(reason, []):
            names[reason].append(title)
    return [*names.items()]


def _about_masters(content: ReportContent, picture_bytes: int) -> dict[str, Any]:
    masters = content.masters
    by_group = {master.job.name: master for master in masters}
    return {
        "masters": masters,
        "causes": shared_causes(master.quality for master in masters),
        "by_group": by_group,
        "masters_named": lambda names: [by_group[name] for name in names if name in by_group],
        "by_path": {master.job.master: master for master in masters},
        "verdicts": Counter(master.verdict for master in masters),
        "not_made": content.decision.not_made,
        "left_out": _left_out(masters, content.decision.inventory),
        "pictures": _embedded(masters, picture_bytes),
        "calibrations": _calibrations(masters),
    }


def _about_frames(content: ReportContent) -> dict[str, Any]:
    decision = content.decision
    return {
        "nights": _nights(decision.inventory),
        "refused": _refused(decision, content.masters),
        "ignored": ignored_by_reason(decision.inventory, decision.verdicts).to_dict(),
        "warnings": decision.warnings,
    }


def _worth_drawing(trends: Iterable[Trend]) -> list[Trend]:
    """Choose the trends of several nights, those with a jump first."""
    several = (trend for trend in trends if len(trend.points) > 1)
    return sorted(several, key=lambda trend: not trend.jumps)


def _template(name: str) -> str:
    return Path(__file__).with_name("templates").joinpath(name).read_text(encoding="utf-8")


def _embedded(masters: Sequence[Master], budget: int) -> Mapping[tuple[str, str], str]:
    """Choose the pictures to embed in the page, as data URIs by master and kind.

    A blank picture has an empty text. Masters with a problem come first: their cards are read.
    """
    levels = [*Level]
    worst_first = sorted(masters, key=lambda master: -levels.index(master.quality.verdict))
    wanted = [(master, kind) for kind in ("overview", "structure") for master in worst_first]
    wanted += [(master, "change") for master in worst_first if master.pictures.change.is_file()]
    wanted += [(master, "sections") for master in worst_first if master.reduction > 1]
    embedded = {}
    for master, kind in wanted:
        path = getattr(master.pictures, kind)
        picture = "" if is_blank(path) else _data_uri(path)
        budget -= len(picture)
        if budget < 0:
            break
        embedded[master.job.name, kind] = picture
    return embedded


def _calibrations(masters: Sequence[Master]) -> list[_Calibration]:
    """Group flats by the bias and dark that they use, in the order of the masters."""
    groups: dict[tuple[str, str], _Calibration] = {}
    for master in masters:
        job = master.job
        if job.type is FrameType.FLAT:
            key = (job.bias.path if job.bias else "", job.dark.path if job.dark else "")
            groups.setdefault(key, _Calibration(job.bias, job.dark, [])).flats.append(master)
    return [*groups.values()]


def _differences(content: ReportContent, output_dir: Path) -> Mapping[str, str]:
    """Give the pictures of a comparison, as data URIs by their paths."""
    paths = [each.picture for each in content.comparison.masters] if content.comparison else []
    budget, embedded = _DIFFERENCE_BYTES, {}
    for path in filter(None, paths):
        if (output_dir / path).is_file():
            picture = _data_uri(output_dir / path)
            budget -= len(picture)
            if budget >= 0:
                embedded[path] = picture
    return embedded


def _data_uri(path: Path) -> str:
    return f"data:image/webp;base64,{b64encode(path.read_bytes()).decode()}"


# --- frames ---------------------------------------------------------------------------------------


def _nights(table: pd.DataFrame) -> list[_Night]:
    """Count frames by camera, night and type."""
    cameras = column_text(table["INSTRUME"]).replace("", "unknown camera")
    nights = column_text(table["DATE"]).replace("", "unknown night")
    kinds, status = column_text(table["TYPE"]), column_text(table["status"])
    kinds = kinds.where(kinds.isin([*FrameType]), "other")
    by_kind, by_status = (pd.crosstab([cameras, nights], each) for each in (kinds, status))
    used = status == Status.USED
    groups = table["group"].astype(object)[used].groupby([cameras, nights]).unique()
    return [
        _Night(camera, night, Counter(counts.to_dict()), {*groups.get((camera, night), ())})
        for (camera, night), counts in by_kind.join(by_status).iterrows()
    ]


def _refused(
    decision: Decision, masters: Iterable[Master]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return path and reason of the frames that are in no master, grouped by remedy."""
    groups = refused_by_remedy(decision.inventory, decision.verdicts)
    refused = [(remedy, [*frames["reason"].items()]) for remedy, frames in groups]
    listed = {path for _, frames in refused for path, _ in frames}
    of_jobs = {each.path: each.reason for master in masters for each in master.record.left_out}
    left_out = sorted(item for item in of_jobs.items() if item[0] not in listed)
    return [*refused, (_LEFT_OUT, left_out)] if left_out else refused


def _left_out(masters: Iterable[Master], table: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Return the refused frames whose headers match each master: path and reason."""
    rows = table[table["status"] == Status.REFUSED]
    refused = pd.DataFrame({name: column_text(rows[name]) for name in rows})
    return {
        master.job.name: [*refused["reason"][_would_belong(refused, master.job)].items()]
        for master in masters
    }


def _would_belong(refused: pd.DataFrame, job: MasterJob) -> pd.Series:
    """Return whether the keywords of each row are missing or equal to those of a job."""
    belongs = refused["TYPE"] == job.type.value
    for key, value in job.keywords.items():
        if key != "TYPE":
            belongs &= refused[key].isin(["", format_value(key, value)])
    return belongs
