"""The page as a file: complete, escaped, small, and written only when it would change."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import stored_run
from headfit.cli.main import main
from headfit.errors import DataError
from headfit.images.sources.folder import FolderSource
from headfit.report.images import thumbnails
from headfit.report.page import write_report
from headfit.report.view import read_predictions
from headfit.runs.written import note_written


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    stored_run.write_photos(root / "photos")
    (root / "results.json").write_text(json.dumps(stored_run.results()), "utf-8")
    (root / "predictions.csv").write_text(stored_run.predictions_csv(), "utf-8")
    assert main(["report", str(root), "--images", str(root / "photos")]) == 0
    return root


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report.html").read_text("utf-8"))


def test_the_sections_come_in_order_and_hold_the_numbers(page: Page) -> None:
    results = stored_run.results()
    order = ("evidence", "where", "depiction", "cost", "more", "reliability", "looks", "images")
    ids = [attrs.get("id") for tag, attrs in page.tags if tag == "h2"]
    assert ids == [*order, "audit", "settings"]
    assert results["verdict"]["sentence"] in page.text
    assert results["settings"]["command"] in page.text
    for candidate in results["candidates"]:
        assert f"{candidate['parameters']['head']:,}" in page.text
    for digest in results["fingerprint"].values():
        assert digest in page.text


def test_a_fine_tuning_says_what_it_brings_and_nothing_of_flatten(tmp_path: Path) -> None:
    results = stored_run.tuned()
    write_report(tmp_path / "report.html", results, stored_run.predictions_csv(), None)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    ids = [attrs.get("id") for tag, attrs in page.tags if tag == "h2"]
    order = ("gains", "evidence", "cost", "reliability", "images", "audit", "settings")
    assert ids == list(order)
    for gain in results["finetune"]["gains"]:
        assert gain["sentence"] in page.text
    assert "trained parameters" in page.text
    assert "parameters of the head" not in page.text


def test_nothing_is_fetched_from_anywhere(page: Page) -> None:
    addresses = [
        value
        for tag, attrs in page.tags
        for name, value in attrs.items()
        if name in ("src", "href", "xlink:href", "action", "poster", "srcset") and value
    ]
    assert len(addresses) > 20
    inside = ("#", "data:image/jpeg;base64,", "data:image/png;base64,")
    assert [a for a in addresses if not a.startswith(inside)] == []
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base"}


def test_ids_are_unique_and_references_lead_somewhere(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {a["href"] for _, a in page.tags if (a.get("href") or "").startswith("#")}
    links |= {a["xlink:href"] for _, a in page.tags if "xlink:href" in a}
    assert {link[1:] for link in links if link} <= set(ids)


def test_a_hostile_name_is_only_a_name(page: Page) -> None:
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {tag for tag, _ in page.tags} & {"i"}
    assert "<b>" in page.text
    assert page.text.count(stored_run.HOSTILE) > 5


def test_it_is_small_and_the_same_each_time(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    assert len(before) < 1_000_000
    assert main(["report", str(run), "--images", str(run / "photos")]) == 0
    assert (run / "report.html").read_bytes() == before


def test_the_images_may_have_moved_into_an_archive_or_beside_a_table(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (run / "report.html").read_bytes()
    shutil.make_archive(str(tmp_path / "moved"), "zip", run / "photos")
    (run / "photos" / "table.csv").write_text("path,label\n")
    for source in (tmp_path / "moved.zip", run / "photos" / "table.csv"):
        assert main(["report", str(run), "--images", str(source)]) == 0
        assert (run / "report.html").read_bytes() == page
    capsys.readouterr()
    (tmp_path / "other").mkdir()
    for source, said in (
        ("other", "of the run are not in it"),
        ("gone.zip", "no such file"),
    ):
        assert main(["report", str(run), "--images", str(tmp_path / source)]) == 2
        assert said in capsys.readouterr().err


def test_pictures_are_shown_if_the_images_are_there_and_names_otherwise(
    run: Path, page: Page, tmp_path: Path
) -> None:
    wrong = [each for each in stored_run.predictions() if not each.right]
    assert wrong
    assert len([tag for tag, _ in page.tags if tag == "img"]) >= len(wrong)
    other = tmp_path / "report.html"
    write_report(other, stored_run.results(), stored_run.predictions_csv(), None)
    bare = Page(other.read_text("utf-8"))
    photos = [a for tag, a in bare.tags if tag == "img" and "image/jpeg" in (a["src"] or "")]
    assert photos == []
    assert wrong[0].path in bare.text
    assert "only their names are shown" in bare.text


def test_classes_whose_names_are_not_utf8_are_found_again() -> None:
    name = "bo\udceete"
    text = f"path,label,fold_1,predicted,p_{name},p_x\na.jpg,{name},1,x,0.25,0.75\n"
    for stored in (text, text.encode("utf-8", "backslashreplace").decode()):
        (row,) = read_predictions(stored, [name, "x"])
        assert (row.label, row.predicted, row.p_label, row.p_predicted) == (name, "x", 0.25, 0.75)


def test_paths_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    stored_run.write_photos(tmp_path / "photos")
    inside = stored_run.predictions()[0].path
    outside = (tmp_path / "photos" / inside).resolve()
    paths = [inside, str(outside), f"../photos/{inside}", "gone.jpg"]
    # another system's way out, which here is only a name
    (tmp_path / "photos" / "..\\out.jpg").write_bytes((tmp_path / "photos" / inside).read_bytes())
    paths += ["..\\out.jpg", "C:\\out.jpg", "\\\\host\\out.jpg"]
    assert set(thumbnails(FolderSource(tmp_path / "photos"), paths)) == {inside}


def test_a_page_that_would_tell_the_same_is_not_written_again(tmp_path: Path) -> None:
    target, table = tmp_path / "report.html", stored_run.predictions_csv()
    results: dict[str, Any] = stored_run.results()
    assert write_report(target, results, table, None)
    results["timings"]["total"] += 1
    results["candidates"][0]["latency_ms"] *= 2
    results["images"]["cached"] += 1
    assert not write_report(target, results, table, None)
    results["candidates"][0]["balanced_accuracy"]["mean"] += 0.01
    assert write_report(target, results, table, None)
    target.write_text("something else", "utf-8")
    assert write_report(target, results, table, None)


def test_results_without_gap_where_and_curve_have_a_page_too(tmp_path: Path) -> None:
    results = stored_run.results()
    results.update(where=None, learning_curve=None)
    results["verdict"].update(difference=None, holm_p_value=None, minimal_detectable=None)
    del results["reliability"]["bins"]
    write_report(tmp_path / "report.html", results, "", None)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    ids = {attrs.get("id") for _, attrs in page.tags}
    assert {"plot-scores", "plot-cost"} <= ids
    assert not {"where", "more", "plot-posterior", "plot-calibration"} & ids
    assert "predictions.csv is missing" in page.text


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 2, "Cannot read"),
        ("{", 1, "not valid JSON"),
        ("[" * 200_000, 1, "not valid JSON"),
        ("[]", 1, "schema None"),
        ('{"schema": "headfit.results/3"}', 1, "schema 'headfit.results/3'"),
        ('{"schema": "headfit.results/1"}', 1, "lacks values that the page shows"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(
    content: str | None, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content, "utf-8")
    assert main(["report", str(tmp_path)]) == code
    assert re.fullmatch(rf"Error: .*{said}.*\n", capsys.readouterr().err)
    assert not (tmp_path / "report.html").exists()


def test_a_table_of_other_classes_is_refused() -> None:
    with pytest.raises(DataError, match="does not belong to this run"):
        read_predictions(stored_run.predictions_csv(), ["another"])


def test_a_foreign_run_does_not_choose_the_folder_of_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A private folder, which the results of somebody else name as the place of the images."""
    stored_run.write_photos(tmp_path / "private")
    results = stored_run.results()
    results["settings"]["source"] = {"kind": "folder", "path": str(tmp_path / "private")}
    (tmp_path / "results.json").write_text(json.dumps(results), "utf-8")
    (tmp_path / "predictions.csv").write_text(stored_run.predictions_csv(), "utf-8")
    assert main(["report", str(tmp_path)]) == 0
    assert "this run was not written on this machine" in capsys.readouterr().err
    assert "data:image/jpeg" not in (tmp_path / "report.html").read_text("utf-8")
    note_written(results)
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    assert "data:image/jpeg" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["results.json", "predictions.csv"])
def test_a_device_in_a_run_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(stored_run.results()), "utf-8")
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/dev/zero")
    assert main(["report", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert f"{name}' must be a regular file" in err and err.count("\n") == 1
