#!/usr/bin/env bash
# Unpacks containerd as later releases of Debian have it into DIR/SUITE, beside the one that is installed, for the benchmark:
#   tooling/containerds.sh DIR [SUITE...]        (as root; suites default to trixie and sid)
# Nothing is installed. The mirror is the one that this machine uses already.
set -euo pipefail
target=$(mkdir -p "$1" && cd "$1" && pwd)
shift
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
for suite in "${@:-trixie sid}"; do
  for name in $suite; do
    place=$target/$name
    mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $name main" >"$place/sources.list"
    options=(-o "Dir::Etc::sourcelist=$place/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$place/lists"
      -o "Dir::Cache=$place/cache" -o APT::Sandbox::User=root)
    apt-get -qq "${options[@]}" update >&2
    (cd "$place" && apt-get -qq "${options[@]}" download containerd >&2 && dpkg-deb -x containerd_*.deb .)
    "$place/usr/bin/containerd" --version >&2
    echo "$place/usr/bin/containerd"
  done
done
