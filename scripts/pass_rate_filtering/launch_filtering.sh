#!/bin/bash
# Pass rates of a large set in parts, a Slurm job a part; each part that is started again goes on where it stopped.
#
#     scripts/pass_rate_filtering/launch_filtering.sh [RECIPE] [ROWS] [ROWS_A_PART] [any option of compute_pass_rate.py]
#
# The parts' results are then one source: 'pass_rates/DAPO-Math-17k-Processed-*/kept.jsonl'.
set -euo pipefail

RECIPE="${1:-recipes/dataset_filtering/filter_dapo.yaml}"
ROWS="${2:-17398}"
PART="${3:-500}"
shift "$(($# < 3 ? $# : 3))"

for ((start = 0; start < ROWS; start += PART)); do
    end=$((start + PART < ROWS ? start + PART : ROWS))
    sbatch slurm/compute_pass_rate.slurm "$RECIPE" "$start" "$end" "$@"
done
