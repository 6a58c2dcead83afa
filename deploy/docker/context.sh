#!/usr/bin/env bash
# Lays out the content of the image: `deploy/docker/context.sh DIRECTORY [BINARY]`. Without BINARY a static one is built. Needs
# no network once `cargo fetch` has run; the roots are those of this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."

context=${1:?usage: deploy/docker/context.sh DIRECTORY [BINARY]}
binary=${2:-}
roots=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
target=${CARGO_TARGET_DIR:-target}

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

[[ -s $roots ]] || fail "there are no certificate roots at $roots: install ca-certificates, or name a PEM file in SSL_CERT_FILE"
if [[ -z $binary ]]; then
  # Links the C library statically: only the program's own crate is linked again, which takes seconds after a build.
  cargo rustc --locked --package profound-export --features full --profile "${PROFILE:-dist}" --bin profound-export -- -C target-feature=+crt-static
  profile=${PROFILE:-dist}
  binary=$target/${profile/#dev/debug}/profound-export
fi
# INTERP names a dynamic loader; the image has none.
! LC_ALL=C readelf --program-headers "$binary" | grep -q INTERP ||
  fail "$binary is not static, and the image holds no C library: leave BINARY out, or build with -C target-feature=+crt-static"

rm -rf "$context/rootfs"
root=$context/rootfs
mkdir -p "$root"/{etc/ssl/certs,etc/profound-export,usr/local/bin,usr/share/doc/profound-export}
install -m 0755 "$binary" "$root/usr/local/bin/profound-export"
install -m 0644 "$roots" "$root/etc/ssl/certs/ca-certificates.crt"
printf 'profound:x:65532:65532::/var/lib/profound-export:/sbin/nologin\n' > "$root/etc/passwd"
printf 'profound:x:65532:\n' > "$root/etc/group"
# Resolve names by files first, then by DNS.
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
# Mount points of a lake and of the spool.
install -d -m 0700 "$root/var/lib/profound-export" "$root/spool"
install -d -m 1777 "$root/tmp"
install -m 0644 LICENSE-MIT LICENSE-APACHE "$root/usr/share/doc/profound-export/"
deploy/docker/sbom.py > "$root/usr/share/doc/profound-export/sbom.cdx.json"
if [[ $(id -u) == 0 ]]; then chown 65532:65532 "$root/var/lib/profound-export" "$root/spool"; fi
printf '%s: %s of program, %s crates in the SBOM\n' "$context" "$(du -h "$binary" | cut -f1)" \
  "$(grep -c '"type": "library"' "$root/usr/share/doc/profound-export/sbom.cdx.json")"
