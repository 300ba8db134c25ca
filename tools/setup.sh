#!/bin/sh
# Puts exactly what uv.lock names into .venv. Every make target calls this first; when nothing has changed it is
# over in about 50 ms. The stamp is written last and removed before anything changes, so a .venv without one is
# half-finished and is made anew.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/complete
log=runs/setup.log
need_gb=8
download_gb=2.7 size_gb=5.4 # measured; with an NVIDIA driver 3.1 and 6.4. tests/test_setup.py compares the first with uv.lock
# torch imports without these, and only CUDA ever calls them. What else it has of CUDA its own library is linked against.
cuda_only="triton cuda-bindings cuda-pathfinder nvidia-cusolver nvidia-nvtx"

fail() {
    echo "setup: $*" >&2
    exit 1
}

# --- is there anything to do? ---

wanted() { # a moved checkout needs a new .venv as well: its scripts name the old folder
    pwd
    sha256sum pyproject.toml uv.lock
    [ -z "$(lean)" ] && echo "with CUDA" || echo "without CUDA"
}

lean() { # options for uv: without an NVIDIA driver a gigabyte stays away. A driver that comes later brings it.
    [ -e "${NVIDIA_DRIVER:-/proc/driver/nvidia/version}" ] && return
    for package in $cuda_only; do printf -- '--no-install-package %s ' "$package"; done
}

touched() { # a deleted file changes its folder's time; three levels of folders are looked at, all take too long
    [ -n "$(find .venv/bin .venv/lib/python3.12/site-packages -maxdepth 3 -name __pycache__ -prune \
        -o -type d -newer "$stamp" -print -quit 2>&1)" ]
}

current() {
    [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(wanted)" = "$(cat "$stamp")" ] && ! touched
}

intact() { # was complete once, in this folder, and every file of every package is still there
    [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$(pwd)" ] && .venv/bin/python - 2>/dev/null <<'PYTHON'
import csv, importlib.metadata, os, sys
for package in importlib.metadata.distributions():
    for path, *_ in csv.reader((package.read_text("RECORD") or "RECORD").splitlines()):
        if not os.path.exists(package.locate_file(path)):
            sys.exit(1)
PYTHON
}

# --- what this machine has ---

check_platform() {
    platform="$(uname -s) $(uname -m)"
    [ "$platform" = "Linux x86_64" ] || fail "ttnn has no build for $platform;" \
        "what works: Linux x86-64, WSL 2 on Windows, Docker (linux/amd64), Google Colab."
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc="no glibc"
    echo "${libc#glibc }" | awk -F. '{ exit !($1 + 0 > 2 || ($1 == 2 && $2 >= 34)) }' || fail "ttnn needs glibc 2.34 or newer" \
        "(Debian 12, Ubuntu 22.04), and this machine has $libc."
}

check_disk() {
    free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
    [ "$free_kb" -ge $((need_gb * 1000000)) ] || fail "about $need_gb GB of free disk are needed here and" \
        "$((free_kb / 1000000)) GB are left; free some space, then run this again."
}

python312() { # prints where "$1" really is, if it is a working Python 3.12
    "$1" -c 'import os, sys; assert sys.version_info[:2] == (3, 12); print(os.path.realpath(sys.executable))' \
        2>/dev/null
}

find_python() {
    python312 python3.12 && return
    # pyenv's python3.12 exists but fails while another version is selected, so look behind it
    for candidate in "$(pyenv root 2>/dev/null || echo "${PYENV_ROOT:-$HOME/.pyenv}")"/versions/3.12*/bin/python3.12; do
        python312 "$candidate" && return
    done
    uv --version >/dev/null 2>&1 || fail "Python 3.12 is needed and not found (here: $(python3 --version 2>/dev/null ||
        echo "no Python at all")); install python3.12, or run \`pyenv install 3.12\`, or install uv, then run this again."
    python312 "$(uv python find --no-project 3.12 2>/dev/null)" || echo 3.12 # uv fetches a Python when there is none
}

find_uv() { # sets $uv: the one on PATH, Python's own, or the one of the lock file in a folder that goes at exit
    uv=$(command -v uv) && "$uv" --version >/dev/null 2>&1 && return
    uv=$("$python" -c 'import uv; print(uv.find_uv_bin())' 2>/dev/null) && return
    "$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip; install uv or pip, then run this again."
    scratch=$(mktemp -d)
    "$python" -m pip install --quiet --target "$scratch" \
        "uv==$(sed -n '/^name = "uv"$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)" >"$log" 2>&1 || explain
    uv=$scratch/bin/uv
}

# --- install ---

explain() { # the installer's many lines as one
    case $(cat "$log") in
    *"setup lacks: "*)
        pair=$(sed -n 's/^setup lacks: //p' "$log")
        fail "ttnn needs ${pair%:*}, which this machine lacks; on Debian and Ubuntu: apt install ${pair#*:}." \
            "Then run this again." ;;
    *"No space left"* | *"os error 28"*)
        fail "the disk filled up; about $need_gb GB are needed in all. Free some space, then run this again." ;;
    *"error sending request"* | *"dns error"* | *"Failed to fetch"* | *"onnection"* | *"No matching distribution"*)
        fail "the package index could not be reached; check the network or the proxy settings, then run this again." ;;
    esac
    fail "installing failed ($(grep -m 1 -iE '^ *(error|cause)' "$log" | tr -s ' ')); all of it is in $log."
}

lacking() { # a library that ttnn needs and a bare Debian does not have; prints its name and its package's
    [ -x .venv/bin/python ] || return 1
    for pair in libatomic.so.1:libatomic1 libstdc++.so.6:libstdc++6; do
        .venv/bin/python -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "${pair%:*}" 2>/dev/null ||
            { echo "setup lacks: $pair"; return 0; }
    done
    return 1
}

install() {
    { [ -d .venv ] || "$uv" venv --quiet --python "$python" .venv; } || return 1
    if lacking; then return 1; fi
    # shellcheck disable=SC2046  # several options
    "$uv" sync --frozen --color never $(lean)
}

used_kb() { df -Pk "$1" | awk 'NR == 2 { print $3 }'; }

written() { # the disk's growth in KB as a part of the whole; nothing where it is more, for then others write too
    echo "$1" | awk -v most="$size_gb" '$1 / 1e6 <= most { printf ", %.1f of at most %s GB", $1 / 1e6, most }'
}

progress() { # how much has reached the disk. A terminal gets one line that changes, a log one every 20 seconds.
    # Killed, it leaves a sleep behind: that must hold neither the lock nor what reads this script.
    place=$("$uv" cache dir 2>/dev/null) && mkdir -p "$place" 2>/dev/null || place=.
    before=$(used_kb "$place") seconds=0
    while sleep 2 >/dev/null 2>&1 9>&- && grep -q '^State:.[^Z]' "/proc/$$/status" 2>/dev/null; do
        seconds=$((seconds + 2))
        line="setup: $seconds s$(written $(($(used_kb "$place") - before)))"
        if [ -t 1 ]; then printf '\r\033[K%s' "$line"; elif [ $((seconds % 20)) = 0 ]; then echo "$line"; fi
    done
}

current && exit 0
check_platform
exec 9<tools/setup.sh # two set-ups at once: the second waits, and then finds everything done
flock -n 9 || { echo "setup: waiting for the other set-up to finish"; flock 9; }
current && exit 0

watcher="" scratch=""
trap '[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || :; [ -z "$scratch" ] || rm -rf "$scratch"' EXIT
mkdir -p runs
[ -d .venv ] || check_disk
python=$(find_python)
find_uv
intact || rm -rf .venv
rm -f "$stamp"
[ -n "$(lean)" ] || download_gb=3.1 size_gb=6.4
echo "setup: installing what uv.lock names into .venv. Downloads at most $download_gb GB, and takes $size_gb GB of disk;"
echo "setup: what an earlier set-up has downloaded is not downloaded again. The first time this takes minutes."
export UV_COMPILE_BYTECODE=1 UV_PROJECT_ENVIRONMENT=.venv # without bytecode imports take three times as long
unset PYTHONDONTWRITEBYTECODE VIRTUAL_ENV UV_PYTHON
trap 'echo; fail "interrupted. Run it again: what is downloaded is kept, and it goes on from there."' INT TERM
progress &
watcher=$!
{ install 2>&1 || echo "setup failed"; } | tee "$log" | grep -E '^ *(Building|Prepared|Installed|Bytecode)' |
    if [ -t 1 ]; then sed "s/^/$(printf '\r\033[K')/"; else cat; fi || :
kill "$watcher" 2>/dev/null || :
watcher=""
[ "$(tail -n 1 "$log")" != "setup failed" ] || explain
wanted >"$stamp"
echo "setup: done"
