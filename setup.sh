#!/bin/sh
# Makes sure that what the build needs is there: a Rust toolchain, a C compiler and the HDF5 library with its headers.
# Installs only what is missing, through the system's own package manager, and says what it does.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        say "need root to run: $*"
        exit 1
    fi
}

have_hdf5() {
    [ -n "${HDF5_DIR:-}" ] && return 0
    if command -v pkg-config >/dev/null 2>&1; then
        for name in hdf5 hdf5-serial; do
            pkg-config --exists "$name" 2>/dev/null && return 0
        done
    fi
    return 1
}

if ! command -v cargo >/dev/null 2>&1; then
    say "no Rust toolchain found: install one with rustup (https://rustup.rs), then run this again"
    exit 1
fi

case "$(uname -s)" in
Linux)
    missing=""
    command -v cc >/dev/null 2>&1 || missing="$missing build-essential"
    command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
    have_hdf5 || missing="$missing libhdf5-dev pkg-config"
    if [ -n "$missing" ]; then
        if ! command -v apt-get >/dev/null 2>&1; then
            say "missing:$missing (Debian names); no apt-get here, install their equivalents and run this again"
            exit 1
        fi
        say "installing$missing with apt-get"
        as_root apt-get update -qq
        # shellcheck disable=SC2086  # one word per package
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
    fi
    ;;
Darwin)
    if ! have_hdf5 && ! { command -v brew >/dev/null 2>&1 && brew --prefix --installed hdf5 >/dev/null 2>&1; }; then
        if ! command -v brew >/dev/null 2>&1; then
            say "HDF5 is missing and so is Homebrew (https://brew.sh): install one of them and run this again"
            exit 1
        fi
        say "installing hdf5 and pkg-config with brew"
        brew install hdf5 pkg-config >&2
    fi
    ;;
*)
    have_hdf5 || say "unknown system: install HDF5 (1.8 or newer) with its headers if the build does not find it"
    ;;
esac
