#!/usr/bin/env bash
# Makes what a release consists of: `deploy/dist/build.sh DIRECTORY [BINARY]`. Without BINARY a static one with every feature is built.
# An archive, packages for Debian and for RPM (where `rpmbuild` is), an SBOM, an install script, a formula for Homebrew (where
# RELEASES_URL says from where it downloads), and SHA256SUMS. The same commit gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$(realpath -m "${1:?usage: deploy/dist/build.sh DIRECTORY [BINARY]}")
binary=${2:-}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
about='Copies everything a Profound API key can read to partitioned Parquet'
# Times in archives and packages are that of the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

if [[ -z $binary ]]; then
  triple=x86_64-unknown-linux-gnu
  PROFOUND_EXPORT_COMMIT=$(git rev-parse --short=12 HEAD)
  export PROFOUND_EXPORT_COMMIT PROFOUND_EXPORT_PROFILE=dist
  # A target of its own, so that the flags are not those of build scripts and macros. Paths of this machine are no part of the program.
  RUSTFLAGS="-Ctarget-feature=+crt-static --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/source" \
    cargo build --locked --profile dist --features full --package profound-export --bin profound-export --target "$triple"
  binary=$target/$triple/dist/profound-export
fi
! readelf --program-headers "$binary" | grep -q INTERP || fail "$binary is not static: leave BINARY out"
command -v help2man > /dev/null || fail 'help2man writes the man pages: install it'

rm -rf "$out" && mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The files of a package.
root=$work/root
share=$root/usr/share
doc=$share/doc/profound-export
install -D -m 0755 "$binary" "$root/usr/bin/profound-export"
install -D -m 0644 -t "$doc" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE jobs.toml
deploy/docker/sbom.py > "$doc/sbom.cdx.json"
install -D -m 0644 -t "$root/usr/lib/systemd/system" deploy/systemd/*
sed -i 's#/usr/local/bin/#/usr/bin/#' "$root"/usr/lib/systemd/system/*.service
install -d "$share"/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d,man/man1}
"$binary" completions bash > "$share/bash-completion/completions/profound-export"
"$binary" completions zsh > "$share/zsh/vendor-completions/_profound-export"
"$binary" completions fish > "$share/fish/vendor_completions.d/profound-export.fish"
page() { # page NAME COMMAND...
  printf '#!/bin/sh\nexec %s "$@"\n' "${*:2}" > "$work/$1" && chmod +x "$work/$1"
  help2man --no-info --version-string "$version" --output "$share/man/man1/$1.1" "$work/$1"
  gzip -9n "$share/man/man1/$1.1"
}
page profound-export "$binary"
for command in $("$binary" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p'); do
  [[ $command == help ]] || page "profound-export-$command" "$binary" "$command"
done
find "$root" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +

# The archive: the same files, without the folders of a system.
name=profound-export-$version-x86_64-linux
mkdir -p "$work/$name"
cp -r "$root/usr/bin/profound-export" "$doc"/* "$share"/{man,bash-completion,zsh,fish} deploy/systemd "$work/$name"
tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' --directory "$work" "$name" |
  gzip -9n > "$out/$name.tar.gz"

# Not `du`: the blocks of a file depend on when the disk was last synced.
size=$(find "$root" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
mkdir "$root/DEBIAN"
cat > "$root/DEBIAN/control" << END
Package: profound-export
Version: $version
Architecture: amd64
Maintainer: The maintainers of profound-export <profound-export@localhost>
Recommends: ca-certificates
Section: utils
Priority: optional
Installed-Size: $((size / 1024))
Description: $about
END
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/profound-export_${version}_amd64.deb" > "$work/log"
rm -r "$root/DEBIAN"

if command -v rpmbuild > /dev/null; then
  cat > "$work/spec" << END
Name: profound-export
Version: $version
Release: 1
Summary: $about
License: MIT OR Apache-2.0
AutoReqProv: no
%define _build_id_links none
%define __os_install_post %{nil}
%description
$about.
%install
mkdir -p %{buildroot}
cp -a $root/. %{buildroot}
%files
$(cd "$root" && find . -type f -printf '/%P\n' | sort)
END
  rpmbuild -bb --quiet --target x86_64 --define "_topdir $work/rpm" --define "_rpmdir $out" \
    --define '_rpmfilename %{NAME}-%{VERSION}.%{ARCH}.rpm' --define '_buildhost localhost' \
    --define '_binary_payload w3.zstdio' --define 'use_source_date_epoch_as_buildtime 1' --define 'clamp_mtime_to_source_date_epoch 1' "$work/spec" 2> "$work/log" ||
    fail "$(cat "$work/log")"
else
  echo 'rpmbuild is not installed: no package for RPM'
fi

cp "$doc/sbom.cdx.json" "$out/$name.sbom.cdx.json"
install -m 0755 deploy/dist/install.sh "$out/install.sh"
if [[ -n ${RELEASES_URL:-} ]]; then
  cat > "$out/profound-export.rb" << END
class ProfoundExport < Formula
  desc "$about"
  homepage "${RELEASES_URL%/releases/*}"
  url "$RELEASES_URL/$name.tar.gz"
  sha256 "$(sha256sum "$out/$name.tar.gz" | cut -d ' ' -f 1)"
  license any_of: ["MIT", "Apache-2.0"]
  depends_on :linux
  depends_on arch: :x86_64

  def install
    bin.install "profound-export"
    man1.install Dir["man/man1/*"]
    bash_completion.install "bash-completion/completions/profound-export"
    zsh_completion.install "zsh/vendor-completions/_profound-export"
    fish_completion.install "fish/vendor_completions.d/profound-export.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/profound-export -V")
  end
end
END
fi
(cd "$out" && sha256sum -- * > "$work/SHA256SUMS" && install -m 0644 "$work/SHA256SUMS" . && du -h -- *)
