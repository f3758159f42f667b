"""Everything known of a run on one page that opens from disk: ``output_dir/report.html``."""

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
from calmasters.planning.decision import Decision
from calmasters.reporting.collect import Collected
from calmasters.reporting.masters import Master, short
from calmasters.reporting.plots import draw_plan, draw_trend

__all__ = ["write_report"]

#: Bytes of pictures in a page, so that it stays below 10 MB.
_BUDGET: Final = 6_500_000


@dataclass
class _Night:
    """What was taken with one camera in one night."""

    camera: str
    night: str
    counts: Counter[str]
    groups: set[str]


def write_report(path: Path, collected: Collected, picture_bytes: int = _BUDGET) -> None:
    """Write the report, whole or not at all.

    Parameters
    ----------
    path : Path
        ``report.html``; links to other files are relative to its folder.
    collected : Collected
    picture_bytes : int
        As many bytes of pictures stand in the page: first what shows whole masters, then the
        sections at 1:1. Of the others it has the links alone.
    """
    page = _environment(path.parent).get_template("report.html.j2")
    script = _part("script.js")
    text = page.render(
        **_about_masters(collected, picture_bytes),
        **_about_frames(collected),
        defects=collected.defects,
        trends=[(trend, Markup(draw_trend(trend))) for trend in collected.trends],
        version=__version__,
        created=datetime.now().astimezone(),
        style=Markup(_part("style.css")),
        script=Markup(script),
        # Only this very script may run, whatever else gets into the page.
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
    with replacing(path) as file:
        file.write(text.encode("utf-8", "replace"))


def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=PackageLoader("calmasters.reporting"),
        autoescape=True,  # what headers say is text, whatever it looks like
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "short": short,
        "link": lambda file: quote(Path(file).relative_to(folder).as_posix()),
    }
    return environment


def _about_masters(collected: Collected, picture_bytes: int) -> dict[str, Any]:
    masters = collected.masters
    return {
        "masters": masters,
        "by_group": {master.job.name: master for master in masters},
        "verdicts": Counter(master.verdict for master in masters),
        "not_made": collected.decision.not_made,
        "left_out": _left_out(masters, collected.decision.inventory),
        "pictures": _embedded(masters, picture_bytes),
        "plan": Markup(draw_plan([master.job for master in masters])),
    }


def _about_frames(collected: Collected) -> dict[str, Any]:
    decision = collected.decision
    return {
        "nights": _nights(decision.inventory),
        "refused": _refused(decision),
        "ignored": ignored_by_reason(decision.inventory, decision.verdicts).to_dict(),
        "warnings": decision.warnings,
    }


def _part(name: str) -> str:
    return Path(__file__).with_name("templates").joinpath(name).read_text(encoding="utf-8")


def _embedded(masters: Sequence[Master], budget: int) -> Mapping[tuple[str, str], str]:
    """Choose the pictures that stand in the page, as data URIs by master and kind."""
    wanted = [(master, kind) for kind in ("overview", "structure") for master in masters]
    wanted += [(master, "sections") for master in masters if master.reduction > 1]
    found = {}
    for master, kind in wanted:
        picture = _data_uri(getattr(master.pictures, kind))
        budget -= len(picture)
        if budget >= 0:
            found[master.job.name, kind] = picture
    return found


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
    """Give path and reason of the refused frames, grouped by remedy."""
    groups = refused_by_remedy(decision.inventory, decision.verdicts)
    return [(remedy, [*frames["reason"].items()]) for remedy, frames in groups]


def _left_out(masters: Iterable[Master], table: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Give the refused frames that would belong to each master, as far as their headers tell."""
    rows = table[table["status"] == Status.REFUSED]
    refused = pd.DataFrame({name: column_text(rows[name]) for name in rows})
    return {
        master.job.name: [*refused["reason"][_would_belong(refused, master.job)].items()]
        for master in masters
    }


def _would_belong(refused: pd.DataFrame, job: MasterJob) -> pd.Series:
    """Tell the rows whose keywords are those of a job or absent."""
    belongs = refused["TYPE"] == job.type.value
    for key, value in job.keywords.items():
        if key != "TYPE":
            belongs &= refused[key].isin(["", format_value(key, value)])
    return belongs
