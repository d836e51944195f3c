#!/usr/bin/env bash
# A first hour: a task of one's own, from an empty folder and `open-r1 new` to a served model that answers a curl.
#
#     benchmarks/first_hour/own_task.sh
#
# The task: the sum of a number's digits. Ends with a line: minutes, commands, lines that the user writes.
set -euo pipefail
. "$(dirname "$0")/count.sh"

run open-r1 new digits
write make_task.py <<'TASK'
import json, random

numbers = random.Random(0).sample(range(100, 100_000), 9000)

def solve(number):
    digits = [int(digit) for digit in str(number)]
    sums = [sum(digits[:place]) for place in range(1, len(digits) + 1)]
    return "\n".join(f"{a}+{digit}={b}" for a, digit, b in zip(sums, digits[1:], sums[1:])), sums[-1]

def write(name, rows):
    with open(f"digits/{name}.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

def chat(number):
    steps, total = solve(number)
    answer = f"<think>\n{steps}\n</think>\n<answer>\n\\boxed{{{total}}}\n</answer>"
    return [{"role": "user", "content": f"Digits of {number}"}, {"role": "assistant", "content": answer}]

write("traces", [{"messages": chat(number)} for number in numbers[:8000]])
for name, part in (("problems", numbers[8000:8700]), ("held_out", numbers[8700:])):
    write(name, [{"prompt": f"Digits of {number}", "solution": str(solve(number)[1])} for number in part])
TASK
run python3 make_task.py
run open-r1 run digits/pipeline.yaml --set before.max_new_tokens=64 after.max_new_tokens=64 base.shape.hidden_size=96 \
    grpo.overrides.max_completion_length=64
num_commands=$((num_commands + 1))
echo "\$ open-r1 serve digits/run/grpo" >&2
open-r1 serve digits/run/grpo --port 8123 >serve.log 2>&1 &
server=$!
trap 'kill $server' EXIT
until grep -q '^serving' serve.log; do kill -0 $server && sleep 0.5; done
run curl -sS -H 'Content-Type: application/json' \
    -d '{"model": "digits/run/grpo", "messages": [{"role": "user", "content": "Digits of 4827"}], "temperature": 0}' \
    http://localhost:8123/v1/chat/completions >answer.json
cat answer.json
echo
grep -q 'boxed{21}' answer.json
finish "an own task, served"
