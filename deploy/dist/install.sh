#!/bin/sh
# Installs a released program: `install.sh FROM [DIRECTORY]`. FROM is the folder or address of the release, DIRECTORY the place of the
# program (default: /usr/local/bin for root, else ~/.local/bin). Nothing is installed unless its SHA-256 sum is that of the release.
set -eu

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

from=${1:-}
[ -n "$from" ] || fail 'usage: install.sh FROM [DIRECTORY], where FROM is the folder or address of a release'
if [ "$(id -u)" = 0 ]; then default=/usr/local/bin; else default=$HOME/.local/bin; fi
to=${2:-$default}
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "there is no program for $(uname -s) on $(uname -m): build it, as the README says"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
get() {
  case $from in
    https://* | http://127.0.0.1:* | http://localhost:*)
      curl --fail --silent --show-error --location --output "$work/$1" "$from/$1" || fail "cannot download $from/$1"
      ;;
    *://*) fail "$from is not https" ;;
    *) cp "$from/$1" "$work/$1" || fail "cannot read $from/$1" ;;
  esac
}
get SHA256SUMS
archive=$(sed -n 's/^[0-9a-f]\{64\}  \(profound-export-[0-9a-z.-]*-x86_64-linux\.tar\.gz\)$/\1/p' "$work/SHA256SUMS")
[ -n "$archive" ] || fail "SHA256SUMS of $from names no archive for this machine"
get "$archive"
(cd "$work" && grep -F "  $archive" SHA256SUMS | sha256sum --check --status) || fail "$archive is damaged or was changed: nothing is installed"
tar --extract --gzip --file "$work/$archive" --directory "$work"
mkdir -p "$to"
# In one step: a running program keeps its own file.
cp "$work/${archive%.tar.gz}/profound-export" "$to/.profound-export.new"
chmod 0755 "$to/.profound-export.new"
mv -f "$to/.profound-export.new" "$to/profound-export"
"$to/profound-export" --version
case ":$PATH:" in *":$to:"*) ;; *) printf 'note: %s is not in PATH\n' "$to" ;; esac
