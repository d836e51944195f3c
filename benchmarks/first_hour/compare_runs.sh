#!/usr/bin/env bash
# A first hour: two runs that differ in one setting, measured on the same problems and compared on one page.
#
#     benchmarks/first_hour/compare_runs.sh
#
# Needs the demonstration's model, `make demo`. Ends with a line: minutes, commands, lines that the user writes.
set -euo pipefail
. "$(dirname "$0")/count.sh"

for rate in 1e-4 1e-3; do
    run open-r1 sft --model_name_or_path "$REPO/runs/tiny/base" --dataset_name "$REPO/runs/tiny/traces/traces.jsonl" \
        --learning_rate $rate --max_steps 200 --per_device_train_batch_size 16 --gradient_checkpointing false \
        --max_length 256 --output_dir runs/rate-$rate
done
for rate in 1e-4 1e-3; do
    run open-r1 eval runs/rate-$rate --problems "$REPO/runs/tiny/problems/held_out.jsonl" --max_problems 200 \
        --max_new_tokens 64 --num_samples 1 --output_dir runs/eval-$rate
done
run open-r1 compare runs/eval-1e-4/held_out runs/eval-1e-3/held_out
run open-r1 report runs
finish "two runs compared"
