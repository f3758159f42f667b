"""Write the report of a run, one page that opens from disk: ``output_dir/report.html``."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from calmasters import __version__
from calmasters.atomic_files import replacing
from calmasters.frame import FrameType, Status, format_value
from calmasters.inventory.table import column_text
from calmasters.inventory.unused_frames import ignored_by_reason, refused_by_remedy
from calmasters.model.job import MasterJob
from calmasters.model.layout import LEAVE_OUT
from calmasters.planning.planner import Decision
from calmasters.quality.dark_temperature import DarkTemperature
from calmasters.reporting.collect import ReportContent
from calmasters.reporting.masters import Master, measured, short
from calmasters.reporting.plots import (
    draw_dark_temperature,
    draw_photon_transfer,
    draw_plan,
    draw_trend,
)

__all__ = ["write_report"]

#: Largest size of the pictures in a page, bytes: the page is then smaller than 10 MB.
_PICTURE_BYTES: Final = 6_500_000
#: And of those of a comparison of engines.
_DIFFERENCE_BYTES: Final = 1_000_000


@dataclass
class _Night:
    """The frames of one camera in one night."""

    camera: str
    night: str
    counts: Counter[str]
    groups: set[str]


def write_report(path: Path, content: ReportContent, picture_bytes: int = _PICTURE_BYTES) -> None:
    """Write the report, whole or not at all.

    Parameters
    ----------
    path : Path
        ``report.html``; links to other files are relative to its folder.
    content : ReportContent
    picture_bytes : int
        Largest size of the pictures in the page: first previews of complete masters, then sections
        at 1:1. Other pictures are only linked.
    """
    page = _environment(path.parent).get_template("report.html.j2")
    script = _template("script.js")
    text = page.render(
        **_about_masters(content, picture_bytes),
        **_about_frames(content),
        comparison=content.comparison,
        differences=_differences(content, path.parent),
        cameras=[
            (camera, Markup(draw_photon_transfer(camera.setting, camera.regions)))
            for camera in content.cameras
        ],
        defects=content.defects,
        trends=[(trend, Markup(draw_trend(trend))) for trend in content.trends],
        temperatures=[
            (each, Markup(draw_dark_temperature(each)) if _has_plot(each) else "")
            for each in content.temperatures
        ],
        odd_frames=content.odd_frames,
        odd_but_kept=content.odd_but_kept,
        leave_out_file=(path.parent / LEAVE_OUT).as_posix(),
        version=__version__,
        created=datetime.now().astimezone(),
        style=Markup(_template("style.css")),
        script=Markup(script),
        # Only this script may run, even if another gets into the page.
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
    with replacing(path) as file:
        file.write(text.encode("utf-8", "replace"))


def _has_plot(measured: DarkTemperature) -> bool:
    return sum(each.current > 0 for each in measured.currents) > 1


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
        "link": lambda file: quote(Path(file).relative_to(folder).as_posix()),
    }
    return environment


def _about_masters(content: ReportContent, picture_bytes: int) -> dict[str, Any]:
    masters = content.masters
    return {
        "masters": masters,
        "by_group": {master.job.name: master for master in masters},
        "verdicts": Counter(master.verdict for master in masters),
        "not_made": content.decision.not_made,
        "left_out": _left_out(masters, content.decision.inventory),
        "pictures": _embedded(masters, picture_bytes),
        "plan": Markup(draw_plan([master.job for master in masters])),
    }


def _about_frames(content: ReportContent) -> dict[str, Any]:
    decision = content.decision
    return {
        "nights": _nights(decision.inventory),
        "refused": _refused(decision),
        "ignored": ignored_by_reason(decision.inventory, decision.verdicts).to_dict(),
        "warnings": decision.warnings,
    }


def _template(name: str) -> str:
    return Path(__file__).with_name("templates").joinpath(name).read_text(encoding="utf-8")


def _embedded(masters: Sequence[Master], budget: int) -> Mapping[tuple[str, str], str]:
    """Choose the pictures to embed in the page, as data URIs by master and kind."""
    wanted = [(master, kind) for kind in ("overview", "structure") for master in masters]
    wanted += [(master, "change") for master in masters if master.pictures.change.is_file()]
    wanted += [(master, "sections") for master in masters if master.reduction > 1]
    embedded = {}
    for master, kind in wanted:
        picture = _data_uri(getattr(master.pictures, kind))
        budget -= len(picture)
        if budget >= 0:
            embedded[master.job.name, kind] = picture
    return embedded


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


def _refused(decision: Decision) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return path and reason of the refused frames, grouped by remedy."""
    groups = refused_by_remedy(decision.inventory, decision.verdicts)
    return [(remedy, [*frames["reason"].items()]) for remedy, frames in groups]


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
