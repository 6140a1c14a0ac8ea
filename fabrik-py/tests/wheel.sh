#!/usr/bin/env bash
# Builds the wheel into a folder and proves that it is one: a fresh virtual environment installs it and runs the quick
# start, and every other interpreter that is found here imports it.
# Usage: fabrik-py/tests/wheel.sh [FOLDER]     (a temporary folder unless given)
# WHEEL_PROFILE names another profile of cargo than `release`.
set -euo pipefail
crate=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
folder=${1:-$scratch/wheels}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
python=${PYTHON:-python3}
profile=${WHEEL_PROFILE:-release}
maturin='maturin==1.16.0'

# Installs the wheel with what it needs into an environment of its own, and leaves the interpreter's path in $fresh.
fresh_environment() {
    "$1" -m venv "$scratch/$2"
    fresh=$scratch/$2/bin/python
    [ -x "$fresh" ] || fresh=$scratch/$2/Scripts/python.exe
    "$fresh" -m pip install --quiet --disable-pip-version-check "$3"
}

echo "wheel: building with $maturin"
"$python" -m venv "$scratch/build"
"$scratch/build/bin/python" -m pip install --quiet --disable-pip-version-check "$maturin"
rm -f "$folder"/fabrik_py-*.whl
"$scratch/build/bin/maturin" build --profile "$profile" --locked --quiet --manifest-path "$crate/Cargo.toml" \
    --interpreter "$python" --out "$folder"
wheel=$(ls "$folder"/fabrik_py-*.whl)
echo "wheel: $(basename "$wheel"), $(($(wc -c <"$wheel") >> 10)) KiB"
case $wheel in
*-cp39-abi3-*) ;;
*)
    echo "wheel: its name does not say that it is one for CPython 3.9 and later: $wheel"
    exit 1
    ;;
esac
for member in fabrik/__init__.py fabrik/py.typed fabrik/_fabrik.pyi; do
    "$python" -m zipfile --list "$wheel" | grep --quiet "^$member " || {
        echo "wheel: it lacks $member"
        exit 1
    }
done

fresh_environment "$python" fresh "$wheel"
# From a folder without a source tree, so that only what was installed can be imported.
(cd "$scratch" && "$fresh" -W error "$crate/../examples/quick_start.py")
echo "wheel: the quick start ran in a fresh environment of $("$fresh" --version)"

proof='
import fabrik, sys
tm = fabrik.open("memory:")
tm.capture("q", [{"dn": "uni", "n": 0}])
tm.capture("q", [{"dn": "uni", "n": 1}])
[change] = tm.compare("q@latest~1", "q@latest")
assert (change.fields["n"].before, change.fields["n"].after) == (0, 1)
print("wheel: works under", sys.version.split()[0])
'
others=0
for other in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python /usr/bin/python3.[0-9] /usr/bin/python3.[0-9][0-9]; do
    "$other" -c 'import ensurepip, sys, venv; raise SystemExit(sys.implementation.name != "cpython" or sys.version_info < (3, 9))' \
        2>/dev/null || continue
    "$other" -c 'import sysconfig; raise SystemExit(bool(sysconfig.get_config_var("Py_GIL_DISABLED")))' || continue
    others=$((others + 1))
    fresh_environment "$other" "other-$others" "$wheel"
    (cd "$scratch" && "$fresh" -W error -c "$proof")
done
echo "wheel: $others more interpreters tried"

# The stable ABI is that of interpreters with a lock; one without gets a build of its own.
free=0
for name in python3.15t python3.14t python3.13t; do
    command -v "$name" >/dev/null || continue
    free=$((free + 1))
    "$scratch/build/bin/maturin" build --profile "$profile" --locked --quiet --manifest-path "$crate/Cargo.toml" \
        --interpreter "$name" --out "$scratch/$name"
    fresh_environment "$name" "free-$name" "$(ls "$scratch/$name"/*.whl)"
    (cd "$scratch" && "$fresh" -W error -c "$proof" && "$fresh" -W error -c \
        'import fabrik, sys; assert not sys._is_gil_enabled(), "importing the module switched the lock on"')
done
if [ "$free" -eq 0 ]; then
    echo "wheel: skipped the build without an interpreter lock: no python3.13t, python3.14t or python3.15t on the path"
fi
