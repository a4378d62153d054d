#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one go, within 12 minutes; JSON and logs are left in one folder:
#
#   bash benchmarks/device.sh FOLDER      # with DRY_RUN=1 in front of it: on a CPU, with small sizes
#
# BENCH_SECONDS=200 is how long the benchmark may start jobs; what it leaves out then is in its file.
# Where python3 (or $PYTHON) has jax and torch that see the GPU, it is used as it is; else a virtual environment is made and
# both are installed. Wheels in benchmarks/wheels/ are installed first, without a network: device-wheels.txt has the list.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:?usage: bash benchmarks/device.sh FOLDER}" && cd "$1" && pwd)
python=${PYTHON:-python3}
export XLA_PYTHON_CLIENT_PREALLOCATE=false TF_CPP_MIN_LOG_LEVEL=2 PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

step() { # name, limit in seconds, command: its output into a log, its exit status into steps.txt
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    timeout --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1
    echo "$name: exit $?, $((SECONDS - start)) s" | tee -a "$out/steps.txt"
}
sees_gpu() { "$python" -c "import jax, torch; jax.devices('gpu'); assert torch.cuda.is_available()" 2>/dev/null; }

if compgen -G "benchmarks/wheels/*.whl" >/dev/null; then
    site=$(mktemp -d)
    "$python" -m pip install -q --no-index --no-deps --target "$site" benchmarks/wheels/*.whl || exit 1
    export PYTHONPATH="$site:$PYTHONPATH"
fi
if [ -n "${DRY_RUN:-}" ]; then
    device=cpu sizes=(--lengths 64,128 --batch 1 --repeats 2 --calls 2 --seconds 20) cases=(rope_parity/configs/llama-3.1-8b.json)
    tests=(parity_tests/test_device.py -k "half or yarn or doubling")
else
    if ! sees_gpu; then
        "$python" -m venv .venv-device && python=.venv-device/bin/python || exit 1
        "$python" -m pip install -q "jax[cuda13]" torch pytest pytest-xdist hypothesis --editable ".[parity]" || exit 1
        sees_gpu || { echo "no GPU that both jax and torch see"; exit 1; }
    fi
    device=gpu sizes=(--seconds "${BENCH_SECONDS:-200}") cases=()
    tests=(parity_tests/test_{device,forms,parity,phase,jax}.py parity_tests/accelerators/triton_values.py)
fi
workers=$("$python" -c "import xdist" 2>/dev/null && echo "-n 6")

nvidia-smi >"$out/nvidia-smi.txt" 2>&1
step bench 260 "$python" -m benchmarks.device --json "$out/bench.json" "${sizes[@]}"
step report 330 "$python" -m rope_parity report --device "$device" --json "$out/report.json" "${cases[@]}" &
export JAXTYPING_DISABLE=1 # signatures are checked by make test; this machine may have no beartype
step tests 330 "$python" -m pytest -W default -p no:cacheprovider $workers "${tests[@]}" --junitxml "$out/tests.xml" &
wait
tail -n 3 "$out"/{bench,report,tests}.log
! grep -v "exit 0" "$out/steps.txt"
