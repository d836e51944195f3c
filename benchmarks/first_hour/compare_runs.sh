#!/usr/bin/env bash
# A first hour: two runs that differ in one setting, measured on the same problems and compared on one page.
#
#     benchmarks/first_hour/compare_runs.sh
#
# Starts from an empty folder. Ends with a line: minutes, commands, lines that the user writes.
set -euo pipefail
. "$(dirname "$0")/count.sh"

run open-r1 new mine
run open-r1 model new mine/traces.jsonl base --hidden_size 64 --num_layers 2
for rate in 1e-4 3e-3; do
    run open-r1 sft --config mine/sft.yaml --model_name_or_path base --dataset_name mine/traces.jsonl \
        --learning_rate $rate --max_steps 200 --output_dir runs/rate-$rate
    run open-r1 eval runs/rate-$rate --problems mine/held_out.jsonl --max_new_tokens 32 --output_dir runs/eval-$rate
done
run open-r1 compare runs/eval-1e-4/held_out runs/eval-3e-3/held_out
run open-r1 report runs
finish "two runs compared"
