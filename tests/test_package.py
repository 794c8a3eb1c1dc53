"""The package as a whole: what its files say about one another is true."""

import re
import subprocess
import sys
import tomllib
from typing import ClassVar

import pytest
import yaml
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cnnlab import notebooks, readme
from cnnlab.site import result_pages
from cnnlib import storage

MODULES = sorted(
    path for room in ("cnnlib", "cnnlab") for path in (storage.ROOT / room).rglob("*.py")
)


def read(name):
    return (storage.ROOT / name).read_text(encoding="utf-8")


REPOSITORY = tomllib.loads(read("pyproject.toml"))["project"]["urls"]["Repository"]


def test_imports_keep_to_the_contracts_of_pyproject():
    assert lint_imports(config_filename=str(storage.ROOT / "pyproject.toml")) == 0


def test_the_page_on_architecture_says_what_each_module_is_for():
    page = read("docs/architecture.md")
    for folder in ("cnnlib", "cnnlab"):
        for path in (storage.ROOT / folder).iterdir():
            if path.suffix in ("", ".py") and re.match("[a-z]", path.name):
                assert re.search(rf"[ (]{path.stem}(\.py|/)[ :)]", page), (
                    f"it lacks {folder}/{path.name}"
                )


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


class TestRequirements:
    """pyproject.toml names what is needed and why; the locks have exact versions with hashes."""

    PROJECT = tomllib.loads(read("pyproject.toml"))["project"]
    GROUPS: ClassVar = {"core": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    DIRECT: ClassVar = [
        requirement
        for extra, group in GROUPS.items()
        if extra != "colab"  # has a lock of its own
        for requirement in map(Requirement, group)
        if requirement.name != "cnnlib"
    ]

    def pinned(self, name):
        return {
            canonicalize_name(package): version
            for package, version in re.findall(r"^([\w.-]+)==(\S+)", read(name), re.MULTILINE)
        }

    def test_each_has_a_lower_bound_and_says_what_needs_it(self):
        _, project = read("pyproject.toml").split("[project]")
        for requirement in self.DIRECT:
            assert ">=" in {s.operator for s in requirement.specifier}, str(requirement)
            start = f'  "{requirement.name}>='
            (line,) = [line for line in project.splitlines() if line.startswith(start)]
            assert re.search(r"#  ?\S.*", line), line
        for line in read("benchmarks/requirements.txt").splitlines():
            assert line.startswith("#") or re.fullmatch(r"[\w-]+>=[\d.]+ +# \S.*", line), line

    def test_the_lock_has_every_requirement_within_its_bounds(self):
        pinned = self.pinned("requirements.lock")
        for requirement in self.DIRECT:
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), (str(requirement), version)

    @pytest.mark.parametrize(
        "name", ["requirements.lock", "requirements-build.lock", "requirements-colab.lock"]
    )
    def test_every_line_of_a_lock_has_hashes_and_no_address(self, name):
        entries = re.findall(
            r"^([\w.-]+)==.* \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
            read(name),
            re.MULTILINE,
        )
        assert len(entries) == len(re.findall(r"^\w", read(name), re.MULTILINE)) > 2
        assert not re.search(
            r"^ *(-i|--index|--extra|--find|-f|--trusted)|://|@ file", read(name), re.MULTILINE
        )

    def test_colabs_versions_are_within_the_bounds_and_in_its_lock(self):
        colab, pinned = map(self.pinned, ("requirements-colab.txt", "requirements-colab.lock"))
        assert colab.items() <= pinned.items() and {"keras", "numpy", "tensorflow"} <= set(colab)
        for requirement in self.GROUPS["core"] + self.GROUPS["run"] + self.GROUPS["colab"][1:]:
            name, specifier = Requirement(requirement).name, Requirement(requirement).specifier
            assert specifier.contains(pinned[canonicalize_name(name)]), requirement

    @pytest.mark.parametrize("name", ["README.md", "Makefile", ".github/workflows/ci.yml"])
    def test_nothing_is_installed_by_code_without_a_hash(self, name):
        """An isolated build's environment is filled by pip without looking at hashes."""
        installs = re.findall(r"(?:pip|\$\(PIP\)) install (.*)", read(name))
        assert installs
        for install in installs:
            from_wheels_only = "-r requirements-build.lock" in install
            assert "--no-build-isolation" in install or from_wheels_only, install
            assert "--require-hashes" in install or "--no-deps" in install, install


class TestAddress:
    """The repository's address is written in pyproject.toml, and is the same wherever else."""

    def test_it_is_the_same_everywhere(self):
        owner_and_name = REPOSITORY.removeprefix("https://github.com/")
        colab = r"(?:colab\.research\.google\.com/github/|colab/github/)([\w.-]+/[\w.-]+)/blob"
        for name in ("README.md", *(f"notebooks/{n}.ipynb" for n in notebooks.names())):
            assert set(re.findall(colab, read(name))) == {owner_and_name}, name
        assert f"git clone {REPOSITORY}\n" in read("README.md")
        assert yaml.safe_load(read("CITATION.cff"))["repository-code"] == REPOSITORY
        assert f"{REPOSITORY}/actions/workflows/ci.yml/badge.svg" in read("README.md")

    def test_the_map_links_every_notebook_and_its_colab_page(self):
        readme = read("README.md")
        colab = REPOSITORY.replace("github.com", "colab.research.google.com/github")
        for name in notebooks.names():
            assert f"(notebooks/{name}.ipynb)" in readme
            assert f"({colab}/blob/main/notebooks/{name}.ipynb)" in readme


PAGES = ["README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAGES += [f"docs/{path.name}" for path in sorted((storage.ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_links_between_files_lead_somewhere(name):
    folder = (storage.ROOT / name).parent
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", read(name)):
        assert (folder / target).exists(), f"{name} links {target}"


def test_readme_table_and_picture_are_those_of_the_ledger(tmp_path):
    assert not readme.update_readme(check=True), "run: python -m cnnlib results readme"
    result_pages.figure(tmp_path / "drawn.svg", local=False)
    drawn, kept = (
        re.findall(r"aria-label.*?>|>[^<>]+</text>|<use [^>]*>", path.read_text("utf-8"))
        for path in (tmp_path / "drawn.svg", storage.ROOT / readme.PICTURE)
    )
    assert len(drawn) > 30 and drawn == kept, "run: python -m cnnlib results readme"


def test_version_is_the_same_in_the_citation():
    import cnnlib

    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == cnnlib.__version__ and citation["cff-version"] == "1.2.0"


@pytest.mark.parametrize(
    "path", sorted((storage.ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda p: p.name
)
def test_workflows_name_actions_by_commit_and_say_which_release_it_is(path):
    """A tag can be moved to other code; dependabot moves the commits."""
    used = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action


def test_no_source_file_names_a_folder_of_one_machine():
    names = ("README.md", "Makefile", "pyproject.toml", "requirements.lock", "data/README.md")
    tracked = [*MODULES, *(storage.ROOT / name for name in names)]
    tracked += [*(storage.ROOT / "tests").rglob("*.py"), *(storage.ROOT / "docs").rglob("*.md")]
    absolute = re.compile(r"/(?:home|Users|root)/\w|[A-Z]:\\+Users")
    tracked.remove(storage.ROOT / "tests" / "test_package.py")
    assert not [path for path in tracked if absolute.search(path.read_text(encoding="utf-8"))]
