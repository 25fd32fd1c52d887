#!/bin/bash
# Makes testdata/repo anew from specs, sources and the test key: `make testdata`.
# Needs rpmbuild, rpmsign, createrepo_c, gpg, gcc (with 32-bit code generation) and gcc-aarch64-linux-gnu.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'gpgconf --homedir "$work/gnupg" --kill all 2>/dev/null || true; rm -rf "$work"' EXIT
export LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=1700000000
umask 022

install -d -m 700 "$work/gnupg"
gpg=(gpg --homedir "$work/gnupg" --batch --quiet --faked-system-time "${SOURCE_DATE_EPOCH}!" --trust-model always)
"${gpg[@]}" --import "$here/keys/secret.asc"
"${gpg[@]}" --armor --export-options export-minimal --export demo@slimtest.example >"$here/keys/RPM-GPG-KEY-demo"

# build ARCH SPEC OPTION...
build() {
  local arch=$1 spec=$2 cc=gcc libdir=/usr/lib64
  shift 2
  case $arch in
    aarch64) cc=aarch64-linux-gnu-gcc ;;
    i686) cc='gcc -m32' libdir=/usr/lib ;;
  esac
  rm -rf "$work/build" "$work/root"
  mkdir -p "$work/build"
  HOME=$work rpmbuild -bb --quiet --nodeps --target "$arch-linux" \
    --define "_topdir $work" --define "_builddir $work/build" --define "_sourcedir $here/sources" --define "_rpmdir $work/rpms/$arch" \
    --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' --define "buildroot $work/root" \
    --define '_buildhost localhost' --define 'use_source_date_epoch_as_buildtime 1' --define 'clamp_mtime_to_source_date_epoch 1' \
    --define 'source_date_epoch_from_changelog 0' --define '_build_id_links none' --define 'debug_package %{nil}' \
    --define '__os_install_post %{nil}' --define '_binary_payload w19.zstdio' --define 'vendor slimtest' --define '_docdir /usr/share/doc' \
    --define "cc $cc" --define "libdir $libdir" "$@" "$here/specs/$spec.spec"
}

for arch in x86_64 aarch64; do
  for spec in filesystem setup demo-release libdemo stubs files clash accounts scripts depends; do
    build $arch $spec
  done
  for v in 1.0 1.1; do
    build $arch hello --define "hello_version $v"
  done
  for v in 1.0~rc1 1.0; do
    build $arch versions --define 'demo_name prerelease' --define "demo_version $v"
  done
  for v in 1.0 1.0^git1; do
    build $arch versions --define 'demo_name snapshot' --define "demo_version $v"
  done
  for c in gzip:w9.gzdio xz:w6.xzdio zstd:w19.zstdio bzip2:w9.bzdio none:w.ufdio; do
    build $arch payload --define "compressor ${c%%:*}" --define "_binary_payload ${c#*:}"
  done
done
# A second library of another word size, and of the other program of the same path.
build i686 libdemo
mv "$work"/rpms/i686/*.rpm "$work/rpms/x86_64/"

for arch in x86_64 aarch64; do
  repo=$work/repo/$arch
  mkdir -p "$repo/Packages"
  mv "$work/rpms/$arch"/*.rpm "$repo/Packages/"
  HOME=$work rpmsign --addsign --define "__gpg $(command -v gpg)" --define "_gpg_path $work/gnupg" --define '_gpg_name demo@slimtest.example' --define '_gpg_digest_algo sha256' \
    --define "_gpg_sign_cmd_extra_args --batch --faked-system-time ${SOURCE_DATE_EPOCH}!" "$repo"/Packages/*.rpm >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  touch -d "@$SOURCE_DATE_EPOCH" "$repo"/Packages/*.rpm
  createrepo_c --quiet --no-database --general-compress-type=gz --revision "$SOURCE_DATE_EPOCH" --set-timestamp-to-revision "$repo"
  "${gpg[@]}" --armor --detach-sign --digest-algo sha256 --output "$repo/repodata/repomd.xml.asc" "$repo/repodata/repomd.xml"
done

rm -rf "$here/repo"
cp -r "$work/repo" "$here/repo"
du -sh "$here/repo"
