"""The page at `/` in a real browser: ask two models, see both answers and the verdict on a problem. And what it asks of
its endpoint, without one."""

import asyncio
import json
import shutil
import threading
import time

import httpx
import pytest
import uvicorn
from fastapi.responses import StreamingResponse

from ded_ray.recipe import Serve, Verify
from ded_ray.serve.asked import FAILED
from ded_ray.serve.endpoint import Access, ServedModel
from ded_ray.serve.gateway import Backend, Settings, build_app
from ded_ray.serve.playground import Playground
from ded_ray.serve.ray_serve import served
from ded_ray.serve.responses import event
from ded_ray.tiny.problems import make_problems

TOKEN = "page-token"  # noqa: S105
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--window-size=1000,900")  # fmt: skip


PROBLEMS = tuple(make_problems("reverse", 3, (3, 4), 1))


class Breaks(Backend):
    """A model that fails, before its first word or after it."""

    async def respond(self, body, *_, **__):
        if body["model"] == "at once":
            raise RuntimeError("a secret prompt")
        return StreamingResponse(self.words(), media_type="text/event-stream")

    async def words(self):
        delta = {"index": 0, "delta": {"content": "half a wo"}, "finish_reason": None}
        yield event({"choices": [delta]})
        yield event(FAILED.body)


def page_app():
    models = {"at once": Breaks(), "later": Breaks()}
    return build_app(models, Settings(None, 100_000, 60, ""), Playground(tuple(models), PROBLEMS, Verify()))


def check(content: bytes) -> httpx.Response:
    async def send():
        transport = httpx.ASGITransport(page_app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/playground/check", content=content)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the body is not JSON"),
        (b'{"problem": 0, "text": ', "the body is not JSON"),
        (b'{"problem": 0, "text": "\xff"}', "the body is not UTF-8"),
        (b"[" * 90_000, "the body is not JSON"),
        (b"[]", "the body must be a JSON object"),
        (b"{}", "problem: Field required"),
        (b'{"problem": 0}', "text: Field required"),
        (b'{"problem": 3, "text": "x"}', "problem: there are 3, counted from 0"),
        (b'{"problem": -1, "text": "x"}', "problem: Input should be greater than or equal to 0"),
        (b'{"problem": Infinity, "text": "x"}', "Infinity is no number"),
        (b'{"problem": "first", "text": "x"}', "problem: Input should be a valid integer"),
        (b'{"problem": 0, "text": ["x"]}', "text: Input should be a valid string"),
        (b'{"problem": 0, "text": "\\ud800"}', "half a surrogate pair"),
        (b'{"problem": 0, "text": "x", "answer": "y"}', "answer: not supported"),
    ],
)
def test_what_is_no_completion_is_refused_in_a_line(content, says):
    answer = check(content)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


def test_a_completion_is_checked():
    right = json.dumps({"problem": 1, "text": f"\\boxed{{{PROBLEMS[1].answer}}}", "finish_reason": "stop"}).encode()
    assert check(right).json() == {"status": "correct", "extracted": PROBLEMS[1].answer, "answer": PROBLEMS[1].answer}
    assert check(right.replace(b"stop", b"length")).json()["status"] == "truncated"
    assert check(right.replace(b'"stop"', b"null")).json()["status"] == "unverifiable"


@pytest.fixture
def breaking_page():
    server = uvicorn.Server(uvicorn.Config(page_app(), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.mark.slow
def test_the_page_says_what_failed_beside_what_came_before(browser, breaking_page):
    browser.get(breaking_page)
    wait_for(browser, "document.querySelectorAll('#problem option').length == 4")
    browser.execute_script("document.getElementById('prompt').value = 'x'; document.getElementById('send').click()")
    wait_for(browser, "[...document.querySelectorAll('.verdict')].filter(v => v.innerText).length == 2")
    texts = browser.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('article')].map(a => [a.dataset.model, a.innerText]))"
    )
    says = FAILED.body["error"]["message"]
    assert says in texts["at once"] and says in texts["later"] and "half a wo" in texts["later"]
    assert "secret" not in str(texts)
    assert wait_for(browser, "!document.getElementById('send').disabled"), "and one can ask again"
    browser.get_log("browser")  # what failed was wanted; the next test finds an empty log


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


def wait_for(browser, script: str):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda page: page.execute_script(f"return {script}"))


@pytest.mark.slow
def test_two_models_answer_side_by_side_and_a_verdict_is_shown(browser, ray_cluster, tmp_path):
    models = [ServedModel("student", "tiny/careful"), ServedModel("base", "tiny/student")]
    playground = Playground(("student", "base"), PROBLEMS, Verify())
    with served(models, Serve(), access=Access("127.0.0.1", 0, TOKEN), playground=playground) as url:
        host = url.removeprefix("http://").removesuffix("/v1")
        browser.get(f"http://me:{TOKEN}@{host}/")
        wait_for(browser, "document.querySelectorAll('#problem option').length == 4")  # after `your own`, three problems
        browser.execute_script("problem.value = '1'; problem.onchange(); send.click()")
        wait_for(browser, "document.querySelectorAll('.verdict .correct, .verdict .wrong').length == 2 && !send.disabled")
        texts = browser.execute_script(
            "return Object.fromEntries([...document.querySelectorAll('article')].map(a => [a.dataset.model, a.innerText]))"
        )
        browser.save_screenshot(str(tmp_path / "page.png"))
        assert set(texts) == {"student", "base"}
        assert f"\\boxed{{{PROBLEMS[1].answer}}}" in texts["student"]
        assert "correct" in texts["student"] and f"the answer is {PROBLEMS[1].answer}" in texts["student"]
        assert "ended by stop" in texts["student"]
        logs = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert [entry for entry in logs if "favicon" not in entry["message"]] == []
        browser.execute_script(
            "const of = id => document.getElementById(id);"
            "of('prompt').value = '<b>bold</b>'; of('prompt').oninput(); of('tokens').value = 3; of('send').click()"
        )
        wait_for(browser, "[...document.querySelectorAll('.verdict')].filter(v => /ended by/.test(v.innerText)).length == 2")
        assert browser.execute_script("return document.querySelectorAll('article b').length") == 0
