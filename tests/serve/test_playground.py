"""The page at `/` in a real browser: ask two models, see both answers and the verdict on a problem."""

import shutil

import pytest

from ded_ray.recipe import Serve, Verify
from ded_ray.serve.endpoint import Access, ServedModel
from ded_ray.serve.playground import Playground
from ded_ray.serve.ray_serve import served
from ded_ray.tiny.problems import make_problems

TOKEN = "page-token"  # noqa: S105
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--window-size=1000,900")  # fmt: skip


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
    problems = make_problems("reverse", 3, (3, 4), 1)
    models = [ServedModel("student", "tiny/careful"), ServedModel("base", "tiny/student")]
    playground = Playground(("student", "base"), tuple(problems), Verify())
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
        assert f"\\boxed{{{problems[1].answer}}}" in texts["student"]
        assert "correct" in texts["student"] and f"the answer is {problems[1].answer}" in texts["student"]
        assert "ended by stop" in texts["student"]
        logs = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert [entry for entry in logs if "favicon" not in entry["message"]] == []
        browser.execute_script(
            "const of = id => document.getElementById(id);"
            "of('prompt').value = '<b>bold</b>'; of('prompt').oninput(); of('tokens').value = 3; of('send').click()"
        )
        wait_for(browser, "[...document.querySelectorAll('.verdict')].filter(v => /ended by/.test(v.innerText)).length == 2")
        assert browser.execute_script("return document.querySelectorAll('article b').length") == 0
