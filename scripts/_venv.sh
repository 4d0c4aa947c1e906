# Sourced by the scripts beside it, at the top of the checkout.

# need_venv EXTRA: .venv with drrpack[EXTRA] in it, first on the path. The stamp is written when
# all is installed and tells from what; without it pip completes whatever is there.
need_venv() {
    local stamp=".venv/drrpack-$1.stamp" wanted
    wanted="$PWD $(cksum <pyproject.toml)"
    if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
        echo "installing drrpack[$1] into .venv; the first time that takes minutes (PyTorch)" >&2
        .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv
        .venv/bin/python -m pip install -qq --disable-pip-version-check --editable ".[$1]"
        echo "$wanted" >"$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH"
}

make_venv() {
    local python=${PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "drrpack needs Python 3.11 or newer: PYTHON=python3.12 $0" >&2
        return 1
    fi
    "$python" -m venv .venv
}
