#!/usr/bin/env bash
# A first hour: a task of one's own, from its problems to a served model that answers a curl.
#
#     benchmarks/first_hour/own_task.sh
#
# The task: the sum of a number's digits. Ends with a line: minutes, commands, lines that the user writes.
set -euo pipefail
. "$(dirname "$0")/count.sh"

write make_task.py <<'TASK'
import json, random

rng = random.Random(0)
numbers = rng.sample(range(100, 100_000), 9000)

def solve(number):
    digits, steps = [int(digit) for digit in str(number)], []
    for place in range(1, len(digits)):
        steps.append(f"{sum(digits[:place])}+{digits[place]}={sum(digits[:place + 1])}")
    return "\n".join(steps), sum(digits)

def write(path, rows):
    with open(path, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

write("traces.jsonl", [{"messages": [
    {"role": "user", "content": f"Digits of {number}"},
    {"role": "assistant", "content": f"<think>\n{solve(number)[0]}\n</think>\n<answer>\n\\boxed{{{solve(number)[1]}}}\n</answer>"},
]} for number in numbers[:8000]])
for name, part in (("rl", numbers[8000:8700]), ("held_out", numbers[8700:])):
    write(f"{name}.jsonl", [{"prompt": f"Digits of {number}", "solution": str(solve(number)[1])} for number in part])
TASK
write pipeline.yaml <<TASK
name: digits
output_dir: runs/digits
threads: 1
stages:
  problems: {kind: problems, sft: rl.jsonl, rl: rl.jsonl, held_out: held_out.jsonl}
  base: {kind: model, traces: traces.jsonl, shape: {architecture: qwen3, hidden_size: 96, num_layers: 2}}
  sft: {kind: sft, model: base, traces: traces.jsonl, recipe: $REPO/recipes/tiny/sft.yaml, overrides: {max_steps: 500}}
  evaluate_sft: {kind: evaluate, model: sft, max_new_tokens: 64}
  grpo: {kind: grpo, model: sft, recipe: $REPO/recipes/tiny/grpo.yaml, overrides: {max_steps: 10}}
  evaluate_grpo: {kind: evaluate, model: grpo, baseline: evaluate_sft, max_new_tokens: 64}
  report: {kind: report}
TASK
run python3 make_task.py
run open-r1 run pipeline.yaml
num_commands=$((num_commands + 1))
echo "\$ open-r1 serve runs/digits/grpo" >&2
open-r1 serve runs/digits/grpo --port 8123 >serve.log 2>&1 &
server=$!
trap 'kill $server' EXIT
until grep -q '^serving' serve.log; do kill -0 $server && sleep 0.5; done
run curl -sS -H 'Content-Type: application/json' \
    -d '{"model": "runs/digits/grpo", "messages": [{"role": "user", "content": "Digits of 4827"}], "temperature": 0}' \
    http://localhost:8123/v1/chat/completions >answer.json
grep -q 'boxed{21}' answer.json
cat answer.json
echo
finish "an own task, served"
