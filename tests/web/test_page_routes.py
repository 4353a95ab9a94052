"""The pages and the counters: nothing on them comes from another host."""

import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from tellapart.translation import use_language


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/static/photo_input.js", "/static/style.css"])
def test_nothing_of_a_page_comes_from_elsewhere_or_stands_in_it_as_code(path: str, colours: TestClient) -> None:
    answer = colours.get(path)
    assert answer.status_code == 200
    without_own = answer.text.replace("http://127.0.0.1:8000", "")
    assert re.findall(r"https?://|(?<!:)//[a-z]+\.", without_own) == []
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", without_own)


def test_the_page_for_programs_names_every_address(colours: TestClient) -> None:
    page = colours.get("/docs").text
    document = colours.get("/openapi.json").json()
    assert {"/predict", "/models", "/healthz", "/metrics", "/v2/models/{name}/infer"} <= set(document["paths"])
    assert all(path in page for path in document["paths"])


@pytest.mark.parametrize("path", ["/static/../service.py", "/static/%2e%2e/service.py", "/static/other.js", "/redoc"])
def test_only_files_of_the_page_are_given(path: str, colours: TestClient) -> None:
    assert colours.get(path).status_code == 404


def test_the_pages_follow_the_language(folders: dict[str, object], open_client: Callable[..., TestClient]) -> None:
    with use_language("zh"):
        client = open_client(folders)
        assert '<html lang="zh">' in client.get("/").text
        assert "Drop a photo" not in client.get("/").text


def test_what_was_answered_and_refused_is_counted(
    folders: dict[str, object], open_client: Callable[..., TestClient], draw: Callable[..., bytes]
) -> None:
    with open_client({"m": folders["colours"]}) as client:
        for content in (draw(1), draw(2), b"rubbish"):
            client.post("/predict", content=content)
        client.get("/healthz", headers={"host": "evil.example"})
        text = client.get("/metrics").text
    for line in (
        'tellapart_requests_total{route="/predict",status="200"} 2.0',
        'tellapart_requests_total{route="/predict",status="415"} 1.0',
        'tellapart_answers_total{kind="class",model="m"} 2.0',
        'tellapart_refused_total{reason="photo"} 1.0',
        'tellapart_refused_total{reason="host"} 1.0',
        "tellapart_work_seconds_count 3.0",
        "tellapart_waiting 0.0",
        "tellapart_buffered_bytes 0.0",
    ):
        assert line in text.splitlines()
