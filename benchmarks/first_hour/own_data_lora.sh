#!/usr/bin/env bash
# A first hour: LoRA on one's own JSON lines, stopped twice by Ctrl-C, resumed, merged and measured.
#
#     benchmarks/first_hour/own_data_lora.sh
#
# Starts from an empty folder, with the model that `open-r1 new` trains. Ends with a line: minutes, commands, lines that the
# user writes.
set -euo pipefail
. "$(dirname "$0")/count.sh"

write make_data.py <<'DATA'
import json

with open("mine.jsonl", "w") as file:
    for a in range(1, 40):
        for b in range(1, 40):
            steps = f"{a}+{b}={a + b}\n{a + b}+{a}={2 * a + b}"
            answer = f"<think>\n{steps}\n</think>\n<answer>\n\\boxed{{{2 * a + b}}}\n</answer>"
            file.write(json.dumps({"prompt": f"Compute {a}+{b}+{a}", "completion": answer}) + "\n")
DATA
train=(open-r1 sft --model_name_or_path sums/run/sft --dataset_name mine.jsonl
    --use_peft --lora_r 16 --lora_target_modules all-linear --learning_rate 1e-3 --gradient_checkpointing false
    --per_device_train_batch_size 16 --max_steps 300 --save_steps 20 --logging_steps 2 --output_dir runs/mine)
run open-r1 new sums
run open-r1 run sums/pipeline.yaml --set grpo.overrides.max_steps=2
run python3 make_data.py
stop_when "step [1-9]" "${train[@]}"
stop_when "step [1-9]" "${train[@]}"
run "${train[@]}"
run open-r1 merge runs/mine runs/mine-merged
run open-r1 eval runs/mine-merged --benchmarks 'tasks:sums?level=3&n=100&split=held_out' --max_new_tokens 64 \
    --num_samples 1 --output_dir runs/eval-mine
finish "own data, LoRA, stopped twice"
