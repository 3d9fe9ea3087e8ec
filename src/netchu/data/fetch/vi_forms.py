"""Fetch what people write on forms: given names, wards, addresses of post offices, schools.

Given names and the wards since July 2025 are under the MIT licence; the addresses and the schools
have no licence. Licence: MIT; addresses and schools: research data without a licence to
redistribute.
"""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file, github_file

_NAMES = ("duyet/vietnamese-namedb", "2129070dde2471a2a2c0ef24a32c6c02ebd71805")
_UNITS = (
    "thanglequoc/vietnamese-provinces-database", "cd58063299585146ded3981f2272946ef19ced54",
)  # fmt: skip
_OFFICES = ("HThanh-how/order-management", "58a9379c9ff8351f1a7a9d30f5cb168066074bd7")
_SCHOOLS = ("xuuanthuc/rank_your_uni", "cee206628b1f589d8bfd09c9bce9cdd999ea1a9b")

SOURCE = Source(
    name="vi_forms",
    file="vi_forms.tar.xz",
    url="",
    licence="MIT; addresses and schools: research data without a licence to redistribute",
    parts={
        "boy.txt": github_file(*_NAMES, "boy.txt"),
        "girl.txt": github_file(*_NAMES, "girl.txt"),
        "units.json": github_file(
            *_UNITS, "json/vn_only_simplified_json_generated_data_vn_units_minified.json"
        ),
        "post_offices.tsx": github_file(*_OFFICES, "app/_lib/PostOfficeLocation.tsx"),
        "schools.sql": github_file(*_SCHOOLS, "assets/json/university.sql"),
    },
)


def fetch(folder: Path) -> None:
    """Fetch the lists into `folder`, as one archive."""
    fetch_file(SOURCE, folder)
