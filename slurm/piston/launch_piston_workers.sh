#!/bin/bash
# Submits Piston workers, each a job called piston-worker-PORT: that name is how PISTON_ENDPOINTS=slurm finds them.
#
#     slurm/piston/launch_piston_workers.sh [NUMBER, by default 5] [options of sbatch]

set -euo pipefail

NUMBER="${1:-5}"
if [[ ! "$NUMBER" =~ ^[1-9][0-9]{0,3}$ ]]; then
    echo "usage: $0 [NUMBER] [options of sbatch]; NUMBER is how many workers to start, not '$NUMBER'" >&2
    exit 2
fi
shift || true
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# Ports of their own, since several workers may come to lie on one node.
for port in $(shuf -i 2000-9999 -n "$NUMBER"); do
    sbatch --job-name="piston-worker-$port" --export="ALL,PORT=$port" "$@" "$HERE/launch_single_piston.sh"
done
