#!/bin/bash
# One Piston worker in a container, on port PORT. `launch_piston_workers.sh` submits it; it needs pyxis (srun's
# --container-image). The executor of this package speaks the same protocol without a container: ../executor.slurm.
#
# PISTON_IMAGE     the image; by default one from before Piston needed cgroups, which clusters seldom hand on
# PISTON_PACKAGES  folder on a shared disk that keeps the installed packages (default: ./data/piston/packages)
#SBATCH --job-name=piston_worker
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem-per-cpu=1950M
#SBATCH --time=48:00:00
#SBATCH --output=%x-%j.out

set -euo pipefail

: "${PORT:?submit it by launch_piston_workers.sh, or: sbatch --job-name=piston-worker-PORT --export=ALL,PORT=PORT}"
IMAGE="${PISTON_IMAGE:-ghcr.io#engineer-man/piston:sha256:63b5654156a89c5a2ad281aface21416615d62ec056d88efe8fcd307ce73575a}"
PACKAGES="${PISTON_PACKAGES:-$PWD/data/piston/packages}"
mkdir -p "$PACKAGES"

# Piston's own limits are too small for contests: a minute to compile and to run, and bodies of 512 MB.
# shellcheck disable=SC2016
START='
export PORT PISTON_COMPILE_TIMEOUT=60000 PISTON_RUN_TIMEOUT=60000
export PISTON_OUTPUT_MAX_SIZE=1000000000 PISTON_MAX_FILE_SIZE=1000000000
export PISTON_DISABLE_NETWORKING=true
export PISTON_REPO_URL="${PISTON_REPO_URL:-https://github.com/guipenedo/piston/releases/download/pkgs/index}"
sed -i "s/body_parser\.json([^)]*)/body_parser.json({ limit: \"512mb\" })/" src/index.js
exec node src
'

sleep "$((RANDOM % 20))" # containers that are unpacked at the same moment on one node get in each other's way
srun --ntasks=1 --container-image="$IMAGE" --container-mounts="$PACKAGES:/piston/packages:rw" bash -c "$START"
