#!/usr/bin/env bash
# Fetches the real kernels that the tests and the benchmark run, and the native Unicorn, as Debian packages.
#
#   test/real/fetch.sh            fetch what is missing, then print NAME=PATH lines
#   test/real/fetch.sh --refresh  fetch everything again (Debian's point releases bring newer kernels)
#
# Everything goes to ${STARTUP32_CACHE:-${XDG_CACHE_HOME:-~/.cache}/startup32}; the system is not changed and root is
# not needed. The archive, its options and its keyring are the ones in this machine's own apt sources; only the suite
# is replaced, in a private apt root. Needs: apt, dpkg, flock, awk (all essential or required on Debian).
set -euo pipefail
exec </dev/null

# The suite whose packages the tests were written against, the one of Debian 11 (Linux 5.10), and the first with Unicorn 2.1.
KERNEL_SUITE=bookworm
DEBIAN11_SUITE=bullseye
UNICORN_SUITE=trixie

cache=${STARTUP32_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/startup32}
packages=$cache/packages

say() { printf 'fetch: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

refresh=no
case "${1-}" in
  '') ;;
  --refresh) refresh=yes ;;
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  *) die "unknown argument '$1'; expected --refresh or nothing" ;;
esac

# The machine's own release, to tell Debian's sources from anything else's by the suites that they name.
check_machine() {
  local id='' codename=''
  if [ -r /etc/os-release ]; then
    id=$(. /etc/os-release && printf %s "${ID-}")
    codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME-}")
  fi
  [ "$id" = debian ] && [ -n "$codename" ] ||
    die "this machine is '${id:-unknown}', not a Debian release: the real kernels come from Debian packages, so their tests cannot run here"
  for tool in apt-get apt-cache dpkg flock awk; do
    command -v "$tool" >/dev/null || die "$tool is not installed; it is needed to fetch Debian packages"
  done
  machine_codename=$codename
}

# debian_sources SUITE: the machine's Debian sources as one-line entries, moved to SUITE (with -updates and -security).
# Both forms of sources.list(5) are read; a third party's source is left out by its suite name or its keyring.
debian_sources() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -r "$file" ] || continue
    case $file in
      *.sources) awk -v from="$machine_codename" -v to="$1" '
        function emit(   i, j, u, s, options) {
          if (types ~ /(^| )deb( |$)/ && tolower(enabled) != "no" && components ~ /(^| )main( |$)/ &&
              (keyring == "" || keyring ~ /debian-archive/)) {
            options = (keyring == "" ? "" : " signed-by=" keyring) (trusted == "" ? "" : " trusted=" trusted)
            u = split(uris, uri, " "); s = split(suites, suite, " ")
            for (i = 1; i <= u; i++) for (j = 1; j <= s; j++) line(options, uri[i], suite[j])
          }
          types = uris = suites = components = keyring = trusted = enabled = ""
        }
        function line(options, uri, suite) {
          if (suite != from && suite != from "-updates" && suite != from "-security") return
          sub(from, to, suite)
          print "deb " (options == "" ? "" : "[" substr(options, 2) "] ") uri " " suite " main"
        }
        /^#/ { next }
        /^[ \t]*$/ { emit(); field = ""; next }
        /^[^ \t]/ { colon = index($0, ":"); field = tolower(substr($0, 1, colon - 1)); $0 = substr($0, colon + 1) }
        {
          gsub(/[ \t]+/, " "); sub(/^ /, ""); sub(/ $/, "")
          if (field == "types") types = types " " $0
          if (field == "uris") uris = uris " " $0
          if (field == "suites") suites = suites " " $0
          if (field == "components") components = components " " $0
          if (field == "signed-by") keyring = keyring $0
          if (field == "trusted") trusted = $0
          if (field == "enabled") enabled = $0
        }
        END { emit() }' "$file" ;;
      *) awk -v from="$machine_codename" -v to="$1" '
        $1 != "deb" { next }
        {
          options = ""; at = 2
          if ($2 ~ /^\[/) {
            while (at <= NF) {
              word = $at; at++
              last = word ~ /\]$/
              gsub(/[\[\]]/, "", word)
              if (word ~ /^(signed-by|trusted)=/) options = options " " word
              if (last) break
            }
          }
          if (options ~ /signed-by=/ && options !~ /debian-archive/) next
          suite = $(at + 1); main = 0
          for (i = at + 2; i <= NF; i++) if ($i == "main") main = 1
          if (!main || (suite != from && suite != from "-updates" && suite != from "-security")) next
          sub(from, to, suite)
          print "deb " (options == "" ? "" : "[" substr(options, 2) "] ") $at " " suite " main"
        }' "$file" ;;
    esac
  done | sort -u
}

# apt_root SUITE: makes a private apt root for one suite and reads its package lists.
apt_root() {
  local root=$cache/apt/$1 native
  native=$(dpkg --print-architecture)
  mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial"
  : >"$root/status"
  debian_sources "$1" >"$root/sources.list"
  [ -s "$root/sources.list" ] ||
    die "found no Debian source for '$machine_codename' in /etc/apt/sources.list or /etc/apt/sources.list.d"
  cat >"$root/apt.conf" <<CONF
#clear APT::Architectures;
APT::Architectures { "$native"; "amd64"; "i386"; };
APT::Sandbox::User "root";
APT::Default-Release "";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$root/state";
Dir::State::status "$root/status";
Dir::Cache "$root/cache";
Dir::Etc::SourceList "$root/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
CONF
  say "reading the package lists of $1"
  # One unreadable list (a mirror in the middle of an update) need not matter: the packages may be in another.
  apt-get -c "$root/apt.conf" -qq update >&2 ||
    say "some lists of $1 could not be read; if a missing key is named, install the newest debian-archive-keyring"
}

# download NAME SUITE PACKAGE...: downloads the first of the packages that can be had; false when there is none. A mirror's
# lists may name a package that its pool does not hold.
download() {
  local root=$cache/apt/$2 work=$packages/.$1.$$ package
  mkdir -p "$work/deb"
  for package in "${@:3}"; do
    say "fetching $package from $2"
    (cd "$work/deb" && apt-get -c "$root/apt.conf" -qq download "$package" >&2) && return
    say "apt-get download $package failed"
  done
  rm -rf "$work"
  return 1
}

# unpack NAME: unpacks what was downloaded to $packages/NAME, all of it or nothing.
unpack() {
  local work=$packages/.$1.$$
  mkdir -p "$work/unpacked"
  dpkg-deb -f "$work"/deb/*.deb Package Version Architecture >"$work/unpacked/package.txt" &&
    dpkg -x "$work"/deb/*.deb "$work/unpacked" || { rm -rf "$work"; die "$1 cannot be unpacked"; }
  rm -rf "$work/unpacked/lib/modules" "${packages:?}/$1"
  mv -T "$work/unpacked" "$packages/$1"
  rm -rf "$work"
}

# fetch NAME SUITE PACKAGE
fetch() {
  download "$@" || die "$3 could not be had from $2"
  unpack "$1"
}

# kernels SUITE VERSION FLAVOUR: the packages linux-image-VERSION-ABI-FLAVOUR-unsigned for i386, newest ABI first.
kernels() {
  apt-cache -c "$cache/apt/$1/apt.conf" search --names-only "^linux-image-${2//./\\.}-[0-9]+-$3-unsigned\$" |
    awk '{ sub(/:.*/, "", $1); print $1 ":i386" }' | sort -urV
}

# fetch_kernel NAME SUITE VERSION FLAVOUR: the newest that can be had; false when there is none.
fetch_kernel() {
  local packages_of_suite
  mapfile -t packages_of_suite < <(kernels "$2" "$3" "$4")
  download "$1" "$2" "${packages_of_suite[@]}" || return 1
  unpack "$1"
}

fetch_debian12_kernel() {
  fetch_kernel "$1" $KERNEL_SUITE 6.1.0 "$2" || die "$KERNEL_SUITE has no package linux-image-6.1.0-*-$2-unsigned for i386"
}

# Debian 11 is out of support, so a mirror may have dropped it. Then this is said, the reason is kept for the tests that
# need this kernel (they are skipped with it), and the rest goes on.
fetch_debian11_kernel() {
  local name=linux-image-5.10-pae reason
  rm -f "$packages/$name.missing"
  fetch_kernel $name $DEBIAN11_SUITE 5.10.0 686-pae && return
  reason="no linux-image-5.10.0-*-686-pae-unsigned for i386 could be had from $DEBIAN11_SUITE on this machine's Debian mirror"
  say "$reason; the tests that need it are skipped"
  [ -f "$packages/$name/package.txt" ] || printf '%s\n' "$reason" >"$packages/$name.missing"
}

fetch_missing() {
  local missing=() name
  for name in memtest86+ grub-xen linux-image linux-image-pae; do
    [ $refresh = no ] && [ -f "$packages/$name/package.txt" ] || missing+=("$name")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    check_machine
    apt_root $KERNEL_SUITE
    for name in "${missing[@]}"; do
      case $name in
        memtest86+) fetch memtest86+ $KERNEL_SUITE memtest86+:amd64 ;;
        grub-xen) fetch grub-xen $KERNEL_SUITE grub-xen-host:amd64 ;;
        linux-image) fetch_debian12_kernel linux-image 686 ;;
        linux-image-pae) fetch_debian12_kernel linux-image-pae 686-pae ;;
      esac
    done
  fi
  if [ $refresh = yes ] || [ ! -f "$packages/linux-image-5.10-pae/package.txt" ]; then
    check_machine
    apt_root $DEBIAN11_SUITE
    fetch_debian11_kernel
  fi
  if [ $refresh = yes ] || [ ! -f "$packages/libunicorn/package.txt" ]; then
    check_machine
    apt_root $UNICORN_SUITE
    fetch libunicorn $UNICORN_SUITE "libunicorn2t64:$(dpkg --print-architecture)"
  fi
}

# print_path NAME GLOB: exactly one file must match.
print_path() {
  local found
  found=$(compgen -G "$packages/$2" | sort -V | tail -n 1) || die "nothing matches $packages/$2; run $0 --refresh"
  printf '%s=%s\n' "$1" "$found"
}

mkdir -p "$packages"
exec 9>"$cache/lock"
flock 9
fetch_missing
rm -rf "$cache/apt"
flock -u 9

print_path MEMTEST_IA32 'memtest86+/boot/memtest86+ia32.bin'
print_path MEMTEST_X64 'memtest86+/boot/memtest86+x64.bin'
print_path GRUB_XEN 'grub-xen/usr/lib/grub-xen/grub-i386-xen.bin'
print_path GRUB_XEN_PVH 'grub-xen/usr/lib/grub-xen/grub-i386-xen_pvh.bin'
print_path DEBIAN_KERNEL 'linux-image/boot/vmlinuz-*'
print_path DEBIAN_KERNEL_PAE 'linux-image-pae/boot/vmlinuz-*'
[ -f "$packages/linux-image-5.10-pae.missing" ] || print_path DEBIAN11_KERNEL_PAE 'linux-image-5.10-pae/boot/vmlinuz-*'
print_path STARTUP32_LIBUNICORN 'libunicorn/usr/lib/*/libunicorn.so.2'
