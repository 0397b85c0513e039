"""A user of the keyboard alone: goes from one control to the next, and checks that the focus is visible."""

from playwright.sync_api import Page

MOST = 60
NAMED = """() => {
    const here = document.activeElement;
    const name = here.getAttribute("aria-label") ?? here.labels?.[0]?.innerText ?? here.textContent;
    return name.trim().slice(0, 60);
}"""


def go_to(page: Page, name: str, key: str = "Tab") -> None:
    """Presses *key* until the control of that name has the focus, which is to be seen."""
    passed = []
    for _ in range(MOST):
        page.keyboard.press(key)
        passed.append(page.evaluate(NAMED))
        if passed[-1].startswith(name):
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"nobody sees that {name} has the focus"
            return
    raise AssertionError(f"{name} is not reached: {passed}")
