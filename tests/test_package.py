"""The package as a whole: what its files say about one another is true."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cnnlib
from cnnlab import notebooks, readme
from cnnlab.site import result_pages
from cnnlib import storage


def read(name):
    return (storage.ROOT / name).read_text(encoding="utf-8")


REPOSITORY = tomllib.loads(read("pyproject.toml"))["project"]["urls"]["Repository"]


def test_the_page_on_architecture_says_what_each_module_is_for():
    page = read("docs/architecture.md")
    for folder in ("cnnlib", "cnnlab"):
        for path in (storage.ROOT / folder).iterdir():
            if path.suffix in ("", ".py") and re.match("[a-z]", path.name):
                assert re.search(rf"[ (]{path.stem}(\.py|/)[ :)]", page), path


@pytest.mark.skipif(not (storage.ROOT / ".git").exists(), reason="no checkout")
def test_the_checkout_stays_below_63_mib():
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=storage.ROOT, text=True)
    paths = [storage.ROOT / name for name in listed.split("\0")[:-1]]
    assert 50 < sum(path.stat().st_size for path in paths if path.exists()) / 2**20 < 63


def test_importing_cnnlib_is_light_and_turns_onednn_on():
    code = """
import os, sys, cnnlib
assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
assert not {"tensorflow", "keras", "pandas", "numpy"} & set(sys.modules)
"""
    environment = {"PATH": "", "SYSTEMROOT": "C:\\Windows"}
    subprocess.run([sys.executable, "-c", code], cwd=storage.ROOT, env=environment, check=True)


PROJECT = tomllib.loads(read("pyproject.toml"))["project"]
GROUPS = {"core": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}


def pinned(name):
    found = re.findall(r"^([\w.-]+)==(\S+)", read(name), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def test_requirements_have_lower_bounds_and_reasons_and_the_locks_keep_to_them():
    direct = [each for extra, group in GROUPS.items() if extra != "colab" for each in group]
    everything = pinned("requirements.lock")
    for requirement in (Requirement(each) for each in direct if not each.startswith("cnnlib")):
        assert ">=" in {s.operator for s in requirement.specifier}, str(requirement)
        assert re.search(
            rf'^  "{requirement.name}>=.*",  # \S', read("pyproject.toml"), re.MULTILINE
        )
        version = everything[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), (str(requirement), version)
    colab, locked = map(pinned, ("requirements-colab.txt", "requirements-colab.lock"))
    assert colab.items() <= locked.items() and {"keras", "numpy", "tensorflow"} <= set(colab)
    for each in GROUPS["core"] + GROUPS["run"] + GROUPS["colab"][1:]:
        name, specifier = Requirement(each).name, Requirement(each).specifier
        assert specifier.contains(locked[canonicalize_name(name)]), each


@pytest.mark.parametrize("name", ["", "-build", "-colab"])
def test_every_line_of_a_lock_has_hashes_and_no_address(name):
    text = read(f"requirements{name}.lock")
    entry = r"^([\w.-]+)==.* \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
    entries = re.findall(entry, text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\w", text, re.MULTILINE)) > 2
    address = r"^ *(-i|--index|--extra|--find|-f|--trusted)|://|@ file"
    assert not re.search(address, text, re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "Makefile", ".github/workflows/ci.yml"])
def test_nothing_is_installed_by_code_without_a_hash(name):
    """An isolated build's environment is filled by pip without looking at hashes."""
    installs = re.findall(r"(?:pip|\$\(PIP\)) install (.*)", read(name))
    assert installs
    for install in installs:
        from_wheels_only = "-r requirements-build.lock" in install
        assert "--no-build-isolation" in install or from_wheels_only, install
        assert "--require-hashes" in install or "--no-deps" in install, install


def test_the_address_of_pyproject_is_the_same_everywhere():
    readme, citation = read("README.md"), yaml.safe_load(read("CITATION.cff"))
    assert f"git clone {REPOSITORY}\n" in readme
    assert f"{REPOSITORY}/actions/workflows/ci.yml/badge.svg" in readme
    assert citation["repository-code"] == REPOSITORY and citation["cff-version"] == "1.2.0"
    assert citation["version"] == cnnlib.__version__
    page = REPOSITORY.replace("github.com", "colab.research.google.com/github")
    for name in notebooks.names():
        assert f"(notebooks/{name}.ipynb)" in readme
        assert f"({page}/blob/main/notebooks/{name}.ipynb)" in readme


PAGES = ["README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAGES += [f"docs/{path.name}" for path in sorted((storage.ROOT / "docs").glob("*.md"))]


def test_links_between_files_lead_somewhere():
    for name in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", read(name)):
            assert ((storage.ROOT / name).parent / target).exists(), f"{name} links {target}"


def test_the_korean_readme_has_the_same_notebooks_minutes_pictures_and_commands():
    for wanted in (
        r"\[(\d\d_\w+)\]\(.*\| ([\d.]+) \|",
        r"\]\((docs/\w+\.(?:webp|svg))\)",
        r"python -m cnnlib (?:(?:batch|data|notebooks|results) )?\w+|make [a-z-]+(?=`|   )",
    ):
        english, korean = (re.findall(wanted, read(name)) for name in PAGES[:2])
        assert set(english) == set(korean) and english


def test_readme_table_and_picture_are_those_of_the_ledger(tmp_path):
    assert not readme.update_readme(check=True), "run: python -m cnnlib results readme"
    result_pages.figure(tmp_path / "drawn.svg", local=False)
    drawn, kept = (
        re.findall(r"aria-label.*?>|>[^<>]+</text>|<use [^>]*>", path.read_text("utf-8"))
        for path in (tmp_path / "drawn.svg", storage.ROOT / readme.PICTURE)
    )
    assert len(drawn) > 30 and drawn == kept, "run: python -m cnnlib results readme"


@pytest.mark.parametrize(
    "path", sorted((storage.ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda p: p.name
)
def test_workflows_name_actions_by_commit_and_say_which_release_it_is(path):
    """A tag can be moved to other code; dependabot moves the commits."""
    used = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action
