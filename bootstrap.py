"""Makes the project's own environment from locks/ and continues the script inside it. Standard library only.

It must not know what the scripts do, and it has to parse on Python 3.6, to say there that 3.10 is needed.
A stamp, written last, says what an environment holds; without it the environment is half made and is made again.
"""

import contextlib
import glob
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Iterator

ROOT = os.path.dirname(os.path.abspath(__file__))
CIRCLES = ("device", "hub", "test")  # each contains the ones before it
NPM_TIMEOUT_S = 60.0
NPM_RETRY_S = 3600.0
LEAST_FREE_MB = 100.0  # an environment takes more, so it fails before this is gone
CONFIGURATION = 3  # the exit code of run_hub.py --help for a computer that is not set up for it

TEXTS = {
    "en": {
        "old": "MyRVM needs Python 3.10 or newer; this is {version} ({python}).\n"
        "Fix: install a newer Python (Debian 12 and Ubuntu 22.04 have it as python3) and use it: python3.11 {script}\n"
        "JetPack 5: install from a bundle that has a Python (run_hub.py bundle FOLDER --with-python ARCHIVE).",
        "making": "First start: making the environment {folder} for Python {version}, about a minute ...",
        "updating": "Bringing the environment {folder} up to date ...",
        "ready": "Environment ready after {seconds:.0f} s.",
        "apt": "This Python cannot make environments yet: installing {package} with apt-get ...",
        "no_venv": "This Python cannot make an environment: {package} is missing.\nFix: {sudo}apt install {package}",
        "failed": "Installing the packages of {lock} failed:\n{detail}\n"
        "Fix: check the network and start again; what is half done is done anew.",
        "no_write": "Cannot write the environment {folder}: {detail}\n"
        "Fix: give yourself the right to write there, or name another folder in RVM_VENV.",
        "full": "Only {free:.0f} MB are free in {folder}, where the environment is made.\n"
        "Fix: free some 700 MB and start again (or name other folders in RVM_VENV and TMPDIR).",
        "no_wheels": "The folder {folder} has no pip-*.whl, so it is no folder of a bundle.\n"
        "Fix: make one with run_hub.py bundle FOLDER and name its folder wheels.",
        "npm": "Note: npm could not fetch plotly.js, xterm.js and esbuild ({detail}):\n"
        "pages are larger, and there is no terminal.",
        "interrupted": "Interrupted.",
        "no_folder": "The folder that this terminal stands in was removed.\n"
        "Fix: change into one that is there (cd /) and start again.",
    },
    "id": {
        "old": "MyRVM memerlukan Python 3.10 atau lebih baru; ini {version} ({python}).\n"
        "Perbaikan: pasang Python yang lebih baru (python3 di Debian 12 dan Ubuntu 22.04): python3.11 {script}\n"
        "JetPack 5: pasang dari bundel yang berisi Python (run_hub.py bundle FOLDER --with-python ARCHIVE).",
        "making": "Mulai pertama: menyiapkan environment {folder} untuk Python {version}, sekitar satu menit ...",
        "updating": "Memperbarui environment {folder} ...",
        "ready": "Environment siap setelah {seconds:.0f} dtk.",
        "apt": "Python ini belum dapat membuat environment: memasang {package} dengan apt-get ...",
        "no_venv": "Python ini tidak dapat membuat environment: {package} tidak ada.\n"
        "Perbaikan: {sudo}apt install {package}",
        "failed": "Pemasangan paket dari {lock} gagal:\n{detail}\n"
        "Perbaikan: periksa jaringan lalu mulai lagi; yang setengah jadi akan diulang.",
        "no_write": "Tidak dapat menulis environment {folder}: {detail}\n"
        "Perbaikan: beri diri Anda hak tulis di sana, atau sebut folder lain di RVM_VENV.",
        "full": "Hanya {free:.0f} MB tersisa di {folder}, tempat environment dibuat.\n"
        "Perbaikan: kosongkan sekitar 700 MB lalu mulai lagi (atau sebut folder lain di RVM_VENV dan TMPDIR).",
        "no_wheels": "Folder {folder} tidak berisi pip-*.whl, jadi bukan folder sebuah bundel.\n"
        "Perbaikan: buat bundel dengan run_hub.py bundle FOLDER lalu sebut folder wheels di dalamnya.",
        "npm": "Catatan: npm tidak dapat mengambil plotly.js, xterm.js, dan esbuild ({detail}):\n"
        "halaman lebih besar, dan terminal tidak ada.",
        "interrupted": "Dihentikan.",
        "no_folder": "Folder tempat terminal ini berada sudah dihapus.\n"
        "Perbaikan: pindah ke folder yang ada (cd /) lalu mulai lagi.",
    },
}


class SetUpError(Exception):
    """What stops the start; the text is for the person in front of the terminal."""


def text(key: str, **values: object) -> str:
    names = ("RVM_LANG", "LC_ALL", "LC_MESSAGES", "LANG")  # as texts.languages reads them, which old Pythons cannot
    wanted = next((os.environ[name] for name in names if os.environ.get(name)), "en")
    return TEXTS["id" if re.split("[_.@-]", wanted)[0].lower() in ("id", "in") else "en"][key].format(**values)


def say(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def refuse_old_python(version: "tuple[int, ...]") -> None:
    """Ends the process with exit code 3 on a Python that cannot run the rest."""
    if version < (3, 10):
        use_newer_python()
        shown = "%d.%d.%d" % version
        say(text("old", version=shown, python=sys.executable, script=os.path.basename(sys.argv[0])))
        sys.exit(CONFIGURATION)


def use_newer_python() -> None:
    """An installation that was begun with an old system Python goes on with a newer one that stands beside it, or that
    its bundle carries."""
    found = (shutil.which("python3.%d" % minor) for minor in range(13, 9, -1))
    newer = next(filter(None, found), None)
    if sys.argv[1:2] not in (["install"], ["uninstall"]):
        return
    if newer:
        os.execv(newer, [newer] + sys.argv)  # noqa: RUF005 - old Pythons come by here
    if os.path.isdir(os.path.join(ROOT, "pythons")) or glob.glob("/opt/myrvm*/python/*"):
        carried = os.path.join(ROOT, "installer", "carried_python.py")
        os.execv(sys.executable, [sys.executable, "-I", "-B", carried] + sys.argv)  # noqa: RUF005


def refuse_removed_folder() -> None:
    """Ends the process with exit code 3 where no name of a file counts any more."""
    try:
        os.getcwd()
    except OSError:
        say(text("no_folder"))
        sys.exit(CONFIGURATION)


def replace_what_cannot_be_written() -> None:
    """A terminal with LANG=id_ID, which is ISO-8859-1, has no quotes and ellipses; stderr escapes them by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


refuse_old_python(sys.version_info[:3])
refuse_removed_folder()
replace_what_cannot_be_written()


def enter(circle: str) -> None:
    """Continues this very script in the environment of `circle` (device, hub or test), making it first if need be.

    Returns at once inside that environment. RVM_VENV names another folder for it; RVM_BOOTSTRAP=off says that the
    running Python has everything already (an image, a package).
    """
    if os.environ.get("RVM_BOOTSTRAP") == "off":
        return
    folder = os.path.join(ROOT, os.environ.get("RVM_VENV") or ".venv")
    try:
        made = prepare(folder, circle, sys.executable)
    except SetUpError as problem:
        say(str(problem))
        sys.exit(CONFIGURATION)
    except KeyboardInterrupt:
        say(text("interrupted"))
        sys.exit(130)
    if made or not inside(folder):
        python = os.path.join(folder, "bin", "python")
        sys.stdout.flush()
        os.execv(python, [python, *sys.argv])


def inside(folder: str) -> bool:
    return os.path.realpath(sys.prefix) == os.path.realpath(folder)


def prepare(folder: str, circle: str, python: str, wheels: str = "") -> bool:
    """Sees to it that `folder` holds `circle`; True when something had to be done. `python` makes a new one. `wheels`:
    the folder of packages; empty: the network."""
    done = False
    if not is_ready(folder, circle):
        try:
            with one_at_a_time():
                if not is_ready(folder, circle):  # another start may have made it while this one waited
                    make(folder, circle, python, wheels)
                    done = True
        except OSError as error:
            refuse_full_disk(folder)
            raise SetUpError(text("no_write", folder=folder, detail=error)) from error
    if circle != "device" and not wheels:
        add_browser_parts(folder, circle)
    return done


def is_ready(folder: str, circle: str) -> bool:
    """Whether the stamp promises `circle` or a larger one, from the lock as it is now, for the Python that is there."""
    try:
        with open(os.path.join(folder, ".stamp"), encoding="utf-8") as file:
            stamp = json.load(file)
        held, version, proof = stamp["circle"], stamp["python"], stamp["fingerprint"]
        expected = fingerprint(held, version)
    except (OSError, ValueError, TypeError, KeyError):
        return False
    if inside(folder) and version != "%d.%d" % sys.version_info[:2]:
        return False  # the system's Python was replaced under the environment
    enough = CIRCLES.index(held) >= CIRCLES.index(circle)
    return enough and bool(proof == expected) and os.path.exists(os.path.join(folder, "bin", "python"))


def fingerprint(circle: str, version: str) -> str:
    with open(lock_path(circle, version), "rb") as file:
        return hashlib.sha256(file.read() + (circle + version).encode()).hexdigest()


def lock_path(circle: str, version: str) -> str:
    """The lock of this Python, or of the newest one before it when it has none of its own yet."""
    wanted = int(version.split(".")[1])
    names = os.listdir(os.path.join(ROOT, "locks"))
    minors = [int(name[len(circle) + 3 : -4]) for name in names if name.startswith(circle + "-3.")]
    newest = max((minor for minor in minors if minor <= wanted), default=10)
    return os.path.join(ROOT, "locks", "%s-3.%d.txt" % (circle, newest))


@contextlib.contextmanager
def one_at_a_time() -> "Iterator[None]":
    """Two starts at once: the second waits here. The lock is on the locks folder itself, so that it leaves no file."""
    import fcntl  # not there on Windows, where only the old-Python message has to work

    descriptor = os.open(os.path.join(ROOT, "locks"), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make(folder: str, circle: str, python: str, wheels: str = "") -> None:
    """Makes or completes the environment; the stamp goes first when it is touched and comes last when it is done."""
    started, shown = time.monotonic(), os.path.relpath(folder, ROOT)
    version = version_of(os.path.join(folder, "bin", "python")) if is_whole(folder) else ""
    if version:
        say(text("updating", folder=shown))
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, ".stamp"))
    else:
        if python == sys.executable:  # an environment must not stand on the one that is being remade
            python = getattr(sys, "_base_executable", python)
        version = version_of(python)
        say(text("making", folder=shown, version=version))
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".making"), "w", encoding="utf-8"):
        pass
    if not os.path.exists(os.path.join(folder, "bin", "python")):
        create(folder, python, version, wheels)
    install(folder, lock_path(circle, version), wheels)
    stamp = {"circle": circle, "python": version, "fingerprint": fingerprint(circle, version)}
    with open(os.path.join(folder, ".stamp.new"), "w", encoding="utf-8") as file:
        json.dump(stamp, file)
    os.remove(os.path.join(folder, ".making"))
    os.replace(os.path.join(folder, ".stamp.new"), os.path.join(folder, ".stamp"))
    say(text("ready", seconds=time.monotonic() - started))


def is_whole(folder: str) -> bool:
    """Whether packages can be put into it: not left half made by us, with a Python that runs, and with pip or uv."""
    python = os.path.join(folder, "bin", "python")
    if os.path.exists(os.path.join(folder, ".making")) or not version_of(python):
        return False
    return bool(shutil.which("uv")) or has_pip(python)


def version_of(python: str) -> str:
    """Like 3.11, or nothing when this Python does not run or is too old."""
    code = "import sys; sys.version_info >= (3, 10) and print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.check_output([python, "-c", code], stderr=subprocess.DEVNULL, timeout=30).decode().strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def has_pip(python: str) -> bool:
    return run([python, "-m", "pip", "--version"])[0] or run([python, "-m", "ensurepip"])[0]


def run(command: "list[str]") -> "tuple[bool, str]":
    """Whether it worked, and the end of what it wrote."""
    result = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    written = result.stdout.decode(errors="replace").strip().splitlines()
    return result.returncode == 0, "\n".join("  " + line for line in written[-15:])


def refuse_full_disk(folder: str) -> None:
    """What fails there has nothing to do with Python or the network."""
    folders = [folder]
    with contextlib.suppress(OSError):  # it writes to find one, and none may have room
        folders.append(tempfile.gettempdir())
    for each in folders:
        there = next(path for path in (each, os.path.dirname(each), os.sep) if os.path.isdir(path))
        free = shutil.disk_usage(there).free / 1e6
        if free < LEAST_FREE_MB:
            raise SetUpError(text("full", free=free, folder=there))


def create(folder: str, python: str, version: str, wheels: str = "") -> None:
    """The empty environment: by uv, by venv, or by virtualenv, whichever this computer has. Wheels bring their pip."""
    if wheels and run([python, "-m", "venv", "--without-pip", folder])[0]:
        return
    uv = shutil.which("uv")
    if uv and run([uv, "venv", "--allow-existing", "--python", python, folder])[0]:
        return
    if run([python, "-m", "venv", folder])[0]:
        return
    refuse_full_disk(folder)
    package = "python%s-venv" % version  # Debian and Ubuntu keep ensurepip in a package of its own
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(text("apt", package=package))
        apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
        run([*apt_get, "update"])
        run([*apt_get, "install", "-y", "--no-install-recommends", package])
        if run([python, "-m", "venv", folder])[0]:
            return
    elif importlib.util.find_spec("virtualenv") and run([python, "-m", "virtualenv", "--quiet", folder])[0]:
        return
    shutil.rmtree(folder, ignore_errors=True)
    raise SetUpError(text("no_venv", package=package, sudo="" if os.geteuid() == 0 else "sudo "))


def install(folder: str, lock: str, wheels: str = "") -> None:
    """Exactly what the lock names, each file checked against its hash. `wheels`: without a network, by the pip that
    lies among them."""
    python, uv = os.path.join(folder, "bin", "python"), shutil.which("uv")
    exactly = ["--quiet", "--require-hashes", "-r", lock]
    if wheels:
        pips = sorted(name for name in os.listdir(wheels) if name.startswith("pip-") and name.endswith(".whl"))
        if not pips:
            raise SetUpError(text("no_wheels", folder=wheels))
        pip = [python, "-I", os.path.join(wheels, pips[-1], "pip"), "install"]
        options = ["--no-index", "--no-cache-dir", "--find-links", wheels]
    elif uv and run([uv, "pip", "install", "--python", python, *exactly])[0]:
        return
    else:
        has_pip(python)
        pip, options = [python, "-m", "pip", "install"], ["--no-warn-script-location"]
    worked, detail = run([*pip, "--no-input", "--disable-pip-version-check", *options, *exactly])
    if not worked:
        refuse_full_disk(folder)
        raise SetUpError(text("failed", lock=os.path.relpath(lock, ROOT), detail=detail))


def add_browser_parts(folder: str, circle: str) -> None:
    """plotly.js (the Python package's, large, stays the fallback), xterm.js and esbuild; for tests biome and tsc too.

    The lock brings an npm. What `test` fetched is enough for `hub`, whose start never takes it away again.
    """
    npm = shutil.which("npm") or shutil.which("npm", path=os.path.join(folder, "bin"))
    lock = os.path.join(ROOT, "package-lock.json")
    if npm is None or not os.path.exists(lock):
        return
    with open(lock, "rb") as file:
        locked = hashlib.sha256(file.read()).hexdigest()
    enough = [locked + " " + each for each in CIRCLES[CIRCLES.index(circle) :]]
    done, tried = os.path.join(ROOT, "node_modules", ".circle"), os.path.join(folder, ".npm-failed")
    if holds(done, enough) or (holds(tried, enough[:1]) and time.time() - os.path.getmtime(tried) < NPM_RETRY_S):
        return
    with contextlib.suppress(OSError), one_at_a_time():
        if holds(done, enough):
            return
        failure = npm_ci(npm, circle)
        say(text("npm", detail=failure)) if failure else None
        with open(tried if failure else done, "w", encoding="utf-8") as file:
            file.write(enough[0])


def holds(path: str, any_of: "list[str]") -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read() in any_of
    except OSError:
        return False


def npm_ci(npm: str, circle: str) -> str:
    """Nothing when it worked, else the shortest reason. What tests need is ten times larger, and may take longer."""
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    command, patience = (command, NPM_TIMEOUT_S * 5) if circle == "test" else ([*command, "--omit=dev"], NPM_TIMEOUT_S)
    try:
        subprocess.check_output(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, timeout=patience)
    except subprocess.TimeoutExpired:
        return "%.0f s" % patience
    except subprocess.CalledProcessError as error:
        lines = error.output.decode(errors="replace").strip().splitlines()
        return lines[0] if lines else "exit %d" % error.returncode
    return ""


def door(words: "list[str]") -> int:
    """`bootstrap.py CIRCLE [--wheels DIR]`: makes the environment beside this file; what an installer runs."""
    wheels = words[2] if words[1:2] == ["--wheels"] else ""
    try:
        prepare(os.path.join(ROOT, ".venv"), words[0], sys.executable, wheels)
    except SetUpError as problem:
        say(str(problem))
        return CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(door(sys.argv[1:]))
