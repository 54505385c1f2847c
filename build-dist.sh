#!/usr/bin/env bash
# Builds what is shipped, target/dist/easel: first with counters, to see what a picture goes through, then for just that.
#   ./build-dist.sh                 ten minutes on two cores; `cargo build --profile dist` takes three, and counts nothing
#
# Needs python3, openssl and the llvm-profdata of rustc's LLVM. Where rustup has none (`rustup component add llvm-tools`), nor
# Debian's package is installed, the package is unpacked into target/pgo. Everything listens on loopback.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

home=$PWD/target/pgo
mkdir -p "$home"
fail() { echo "build-dist.sh: $*" >&2; exit 1; }
for tool in cargo python3 openssl; do command -v "$tool" >/dev/null || fail "$tool is missing"; done

host=$(rustc -vV | sed -n 's/^host: //p')
[[ $host == *linux* ]] || fail "what is shipped is for Linux; here it is cargo build --profile dist"
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

# What reads counters has to be of the LLVM that wrote them.
profdata() {
  local name
  for name in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" "llvm-profdata-$llvm"; do
    if command -v "$name" >/dev/null; then "$name" "$@"; return; fi
  done
  LD_LIBRARY_PATH=$(echo "$home"/llvm/usr/lib/*-linux-gnu) "$home/llvm/usr/lib/llvm-$llvm/bin/llvm-profdata" "$@"
}
if ! profdata --version >/dev/null 2>&1; then
  remedy="llvm-profdata of LLVM $llvm is missing: rustup component add llvm-tools"
  command -v apt-get >/dev/null || fail "$remedy"
  echo "fetching llvm-profdata"
  bench/unpack.sh "$home/llvm" "llvm-$llvm" "libllvm$llvm" >"$home/fetch.log" 2>&1 ||
    fail "$remedy, or apt-get install llvm-$llvm: $(tail -1 "$home/fetch.log")"
  profdata --version >/dev/null || fail "$remedy, or apt-get install llvm-$llvm"
fi

build() { # its target folder, then flags of rustc's beside those in RUSTFLAGS
  local folder=$1
  shift
  # shellcheck disable=SC2086 # cargo splits them so
  set -- ${RUSTFLAGS:-} "$@"
  # Encoded, for a path in them may hold spaces.
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "$*") \
    cargo build --quiet --locked --profile dist --bin easel --target "$host" --target-dir "$folder"
}

# Nothing unwinds through C, so it needs no tables for that; and AWS-LC's is only what is around its assembler code.
export CFLAGS="${CFLAGS:-} -fno-asynchronous-unwind-tables"
export AWS_LC_SYS_CFLAGS="$CFLAGS -Os"

# Functions that turned out the same are kept once. Rust brings the linker that can do that for this processor only.
fold=()
[[ $host != x86_64-* ]] || fold=(-Clink-arg=-Wl,--icf=safe)

# What was never run is not copied to where it is called from, unless that is shorter.
lean=(-Cllvm-args=-inlinecold-threshold=5 -Cllvm-args=-inline-cold-callsite-threshold=5)

# Counters are set before anything is inlined into another crate, so the long work of the linker can be left out.
echo "building with counters"
build "$home/counted" "-Cprofile-generate=$home/counts" -Clinker-plugin-lto=no -Clto=off
counted=$home/counted/$host/dist/easel

if ! [[ $home/profile -nt $counted && $home/profile -nt bench/train.py ]]; then
  echo "counting"
  rm -rf "$home/counts" "$home"/*.profdata
  python3 -B bench/train.py "$counted"
  profdata merge --output "$home/counts.profdata" "$home"/counts/*.profraw
  # Named by what is in it, for cargo knows a flag and not the file behind it.
  profile=$home/$(sha256sum <"$home/counts.profdata" | cut -c 1-16).profdata
  mv "$home/counts.profdata" "$profile"
  echo "$profile" >"$home/profile"
fi

# What a request runs lies together, apart from what it seldom does; GNU's linker does that unasked.
echo "building what is shipped"
build target "-Cprofile-use=$(cat "$home/profile")" -Clink-arg=-Wl,-z,keep-text-section-prefix "${fold[@]}" "${lean[@]}"
install -D "target/$host/dist/easel" target/dist/easel
