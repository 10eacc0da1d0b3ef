"""Other sites, wrong tokens and odd paths reach nothing."""

import pytest

from tests.labelling.page.conftest import nothing_happened

EVIL = "http://evil.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "https://127.0.0.1"}, 403),
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example"}, 400),
        ({"Host": None}, 400),
        ({"Host": ""}, 400),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "multipart/form-data"}, 415),
        ({"Content_Type": None}, 415),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
    ],
    ids=str,
)
def test_another_site_can_answer_nothing(untouched, headers, status):
    """By form, by script, or under a name of its own (DNS rebinding)."""
    said = {"rows": [untouched.row], "label": "circle"}
    for name in ("answer", "skip", "undo", "class", "export"):
        try:
            found = untouched.post(f"api/{name}", said, **headers)[0]
        except ConnectionResetError:  # refused before the body was read
            found = status
        assert found == status
    assert nothing_happened(untouched)


def test_another_site_sees_nothing(untouched):
    for path in ("", "api/state", f"picture/320/{untouched.row}"):
        assert untouched.send("GET", path, Host="evil.example")[0] == 400
        assert untouched.send("GET", path, Origin=EVIL)[0] == 403
        status, headers, _ = untouched.send("GET", path)
        assert status == 200
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
    assert untouched.send("OPTIONS", "api/answer", Origin=untouched.origin)[0] == 405


@pytest.mark.parametrize("token", ["", "x", "{}x", "{}/../{}x", "..", "%2e%2e"])
def test_a_wrong_token_opens_nothing(untouched, token):
    token = token.format(*[untouched.path.strip("/")] * 2)
    for path in ("", "page.js", "api/state", f"picture/320/{untouched.row}"):
        whole = f"/{token}/{path}" if token else f"/{path}"
        if whole.startswith(untouched.path):
            assert untouched.send("GET", whole, whole_path=True)[0] == 404
        else:
            status, _, content = untouched.send("GET", whole, whole_path=True)
            assert status == 403 and b"token" in content
    said = {"rows": [untouched.row], "label": "circle"}
    sent = untouched.send("POST", f"/{token}/api/answer", said, whole_path=True)
    assert sent[0] in (403, 404)
    assert nothing_happened(untouched)


def test_tokens_differ_and_are_long(folder, start, serve, tmp_path):
    tokens = {serve(start(folder, labels=tmp_path / f"{k}.csv")).path for k in range(3)}
    assert len(tokens) == 3 and all(len(token) >= 26 for token in tokens)


@pytest.mark.parametrize(
    "path",
    [
        "picture/320/../../../etc/passwd",
        "picture/320/..%2f..%2fetc%2fpasswd",
        "picture/320/000.png",
        "picture/..%2f320/0",
        "picture/99999/0",
        "picture/320/-1",
        "picture/320/80",
        "picture/320/99999999999999999999",
        pytest.param("picture/320/" + 5000 * "9", id="a row of 5000 digits"),
        pytest.param("picture/" + 5000 * "9" + "/0", id="a size of 5000 digits"),
        "picture/320/0x1",
        "../page.js",
        "..%2fguard.py",
        "static/page.js",
        "../../../../../../etc/passwd",
        "app.py",
        "api/why?row=../0",
        "api/why?row=80",
        "api/why?row=-1",
        "api/why",
        "api/guess?row=1.5",
        "api/state?n=0",
        "api/state?n=201",
        "api/state?n=1e9",
    ],
)
def test_paths_lead_nowhere(untouched, path):
    status, _, content = untouched.send("GET", path)
    assert status in (400, 403, 404, 414)
    assert b"root:" not in content and b"import" not in content


def test_ten_thousand_answers_at_once(page):
    page.session.ask(80)
    said = {"rows": list(range(10_000)), "label": "circle"}
    status, _ = page.post("api/answer", said)
    assert status in (400, 413)
    rows = page.session.ask(80)
    said["rows"] = [question.row for question in rows] * 125
    assert page.post("api/answer", said)[0] in (400, 413)
    assert page.post("api/answer", b"x" * 70_000)[0] == 413
    assert page.post("api/answer", b"{}", Content_Length=None)[0] == 411
    # In chunks it would be longer than it says.
    body = b"0\r\n\r\n"
    kind = {"Transfer_Encoding": "chunked", "Content_Length": "5"}
    assert page.post("api/answer", body, **kind)[0] == 411
    # Without a body: one that is left unread may reset the connection.
    assert page.post("api/answer", b"", Content_Length="many")[0] in (400, 411)
    assert nothing_happened(page)


def test_a_notebook_of_this_machine_may_frame_it(folder, start, serve):
    page = serve(start(folder), framed=True)
    policy = page.send("GET", "")[1]["content-security-policy"]
    assert policy.endswith("frame-ancestors http://localhost:* http://127.0.0.1:*")
