#!/usr/bin/env bash
# Trains `scratch` and `finetune` on cats and dogs with an NVIDIA GPU: photos/s, share of the peak, accuracy, seconds.
#
#   benchmarks/gpu.sh [PHOTOS] [MINUTES]
#
# PHOTOS is a folder of cat.0.jpg, dog.1.jpg, ...; MINUTES is the time of each training, 2 if not given. The whole takes
# twice that, and one or two minutes more. PYTHON is an environment with tellapart's extras `train` and `backbones`, and
# a PyTorch for this GPU (`make setup TORCH_INDEX=...`). RESULTS is the CSV that the figures go to, RUNS how often a step
# is measured. ANY_DEVICE=1 runs it without a GPU, to try it. No figures of a GPU are in results.csv yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

photos=${1:-../shared/data/cats-dogs/train}
minutes=${2:-2}
python=${PYTHON:-.venv/bin/python}
results=${RESULTS:-benchmarks/results.csv}

say() {
	echo "gpu.sh: $*" >&2
	exit 2
}

[ -d "$photos" ] || say "there is no folder '$photos'. Give a folder of cat.0.jpg, dog.1.jpg, ..."
command -v "$python" >/dev/null || say "there is no '$python'. Run make setup, or set PYTHON."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ -z "${ANY_DEVICE:-}" ]; then
	"$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' ||
		say "PyTorch finds no GPU here, so there is nothing to measure."
	nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader || true
fi

exec "$python" benchmarks/bench_gpu.py --photos "$photos" --minutes "$minutes" --runs "${RUNS:-3}" --results "$results" \
	${ANY_DEVICE:+--any-device}
