# shellcheck shell=bash
# What serve_r1.slurm and generate.slurm share: one vLLM server over all nodes of a job, started, watched and stopped.
# Sourced, not run. Tensor parallel inside a node, pipeline parallel over the nodes.
#
# OPEN_R1_PYTHON names the interpreter that Open R1 and vLLM are installed for; by default the checkout's .venv or PATH's.
# OPEN_R1_SERVE replaces `python -m vllm.entrypoints.cli.main serve`: any command that takes MODEL --host --port.
# OPEN_R1_START_LIMIT_S is how long a model may take to load (default: an hour).

if [[ -n "${OPEN_R1_PYTHON:-}" ]]; then
    PYTHON="$OPEN_R1_PYTHON"
elif [[ -x .venv/bin/python ]]; then
    PYTHON=.venv/bin/python
else
    PYTHON=python
fi

START_LIMIT_S="${OPEN_R1_START_LIMIT_S:-3600}"
SERVERS=()

free_port() {
    "$PYTHON" -P -c 'import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1])'
}

start_servers() { # MODEL [ARGUMENT…]: sets SERVER_URL
    local model="$1"
    shift
    local nodes count head port rank gpus
    mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
    count="${#nodes[@]}"
    head="${nodes[0]}"
    gpus="${SLURM_GPUS_ON_NODE:-${SLURM_GPUS_PER_NODE:-8}}"
    port="$(free_port)"
    SERVER_URL="http://$(node_address "$head"):$port/v1"
    for ((rank = 0; rank < count; rank++)); do
        local command=("$PYTHON" -P -m vllm.entrypoints.cli.main serve "$model" --host 0.0.0.0 --port "$port")
        if [[ -n "${OPEN_R1_SERVE:-}" ]]; then
            read -ra command <<<"$OPEN_R1_SERVE"
            command+=("$model" --host 0.0.0.0 --port "$port")
        else
            command+=(--tensor-parallel-size "${gpus##*:}" --pipeline-parallel-size "$count")
            if ((count > 1)); then
                command+=(--nnodes "$count" --node-rank "$rank" --master-addr "$(node_address "$head")")
            fi
        fi
        if ((rank > 0)); then
            command+=(--headless)
        fi
        srun --nodes=1 --ntasks=1 --overlap --nodelist="${nodes[$rank]}" "${command[@]}" "$@" &
        SERVERS+=("$!")
    done
}

node_address() { # NODE: an address that the other nodes reach
    srun --nodes=1 --ntasks=1 --overlap --nodelist="$1" hostname --ip-address | awk '{print $1}'
}

wait_until_ready() {
    local waited
    for ((waited = 0; waited < START_LIMIT_S; waited += 2)); do
        if curl --silent --fail --max-time 5 --output /dev/null "$SERVER_URL/models"; then
            echo "$SERVER_URL answers after $waited s"
            return 0
        fi
        if ! kill -0 "${SERVERS[@]}" 2>/dev/null; then
            echo "a server has ended before it answered; see its messages above" >&2
            return 1
        fi
        sleep 2
    done
    echo "$SERVER_URL did not answer within $START_LIMIT_S s; a larger limit is set by OPEN_R1_START_LIMIT_S" >&2
    return 1
}

stop_servers() {
    if ((${#SERVERS[@]})); then
        kill -TERM "${SERVERS[@]}" 2>/dev/null || true
        wait "${SERVERS[@]}" 2>/dev/null || true
    fi
}
