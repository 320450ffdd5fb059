#!/bin/bash
# Everything that this project wants of a GPU, by one command on a bare machine without network, in under nine minutes:
# tests, training in each precision, agreement with the CPU, and the figures of the goals (gpu_figures.py) as a table.
#
#   bash benchmarks/gpu_day.sh wheels          where pip reaches a registry: fills .whl/ with what the machine lacks
#   bash benchmarks/gpu_day.sh                 on the machine; OUT (default gpu_day_out) receives logs and figures.json
#   bash benchmarks/gpu_day.sh --tiny --device cpu      small sizes, to see that the script works
#
# Each step has a limit; one that fails does not stop the others. Exit code: 0 if every step succeeded, else 1.
cd "$(dirname "$0")/.." || exit 2
PY=${PY:-python3} OUT=${OUT:-gpu_day_out} LIMIT=${LIMIT:-530} SLOWER=${SLOWER:-1} device=cuda tiny=

if [ "$1" = wheels ]; then
  names="pydantic pydantic-core annotated-types typing-inspection open_clip_torch ftfy wcwidth clip-benchmark webdataset
    braceexpand torchcodec pycocotools rapidfuzz filelock Jinja2 MarkupSafe rich markdown-it-py mdurl Pygments pytest pluggy iniconfig"
  pins=$(for name in $names; do grep -i "^$name==" constraints.txt; done)
  for tag in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux_2_5 manylinux2014 manylinux1; do
    platforms="$platforms --platform ${tag}_x86_64"
  done
  # shellcheck disable=SC2086  the lists are meant to be split
  exec "$PY" -m pip download --quiet --no-deps --only-binary=:all: --implementation cp $platforms \
    --python-version "${MACHINE_PYTHON:-3.12}" --dest .whl $pins
fi
while [ $# -gt 0 ]; do
  case $1 in
    --tiny) tiny=--tiny ;;
    --device) device=$2; shift ;;
    *) echo "gpu_day.sh: got $1, expected wheels, --tiny or --device cpu|cuda" >&2; exit 2 ;;
  esac
  shift
done

mkdir -p "$OUT"
export PYTHONPATH="$PWD:$OUT/site:$PYTHONPATH" PYTHONUNBUFFERED=1
started=$SECONDS failed=0
left() { echo $((LIMIT - SECONDS + started)); }
step() { # name, seconds at most, command
  local name=$1 most=$(($2 * SLOWER)) begun=$SECONDS code
  shift 2
  [ "$most" -gt "$(left)" ] && most=$(left)
  if [ "$most" -lt 3 ]; then echo "STEP $name: no time"; failed=1; return; fi
  timeout --kill-after=5 "$most" "$@" >"$OUT/$name.log" 2>&1
  code=$?
  echo "STEP $name: exit code $code, $((SECONDS - begun)) s"
  if [ $code -ne 0 ]; then failed=1; tail -n 12 "$OUT/$name.log" | cut -c1-300; fi
}
steps=40 batch=128 limit=200 tasks=(--tasks demo --set "steps=40")
if [ -n "$tiny" ]; then steps=2 batch=8 limit=24 tasks=(--tasks knn/demo_clipart,retrieval/demo_captions); fi
train() { # name, seconds at most, config, further words
  local name=$1 most=$2 config=$3
  shift 3
  step "train_$name" "$most" "$PY" -m mlcd_train run "mlcd_train/configs/$config.yaml" --set "output=$OUT/train_$name" \
    --set "cache=$OUT/cache" --set "device=$device" --set fit.epochs=null --set "fit.steps=$steps" --set "fit.batch_size=$batch" \
    --set fit.optimizer.warmup=1 --set fit.log_every=1 "$@"
}
discriminate() { # name, further words: a training against clusters of the baseline's features
  local name=$1
  shift
  train "$name" 60 demo_mlcd --set "embed.model=$OUT/train_clip/demo_clip" --set lit=null --set cluster.k=50 "$@"
}
evaluate() { # name, device, further words
  local name=$1 where=$2
  shift 2
  step "eval_$name" 90 "$PY" -m mlcd_eval run --model "$OUT/train_clip/demo_clip" --device "$where" \
    --output "$OUT/eval_$name" --cache "$OUT/cache_eval_$name" --limit $limit --no-resume "${tasks[@]}" "$@"
}

if compgen -G ".whl/*.whl" >/dev/null && [ "$device" = cuda ]; then
  step install 60 "$PY" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$OUT/site" .whl/*.whl
fi
if [ "$device" = cuda ]; then
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  step tests 100 "$PY" -m pytest -q -s -m gpu -p no:cacheprovider tests
fi
train clip 60 demo_clip
if [ -n "$tiny" ]; then # other precisions are slow on a CPU
  discriminate fp32 --set data.workers=1
else
  for precision in fp32 bf16 fp16; do discriminate $precision --set fit.precision=$precision --set data.workers=4; done
  discriminate compiled --set fit.precision=bf16 --set fit.compile=true --set data.workers=4
fi
evaluate device "$device" --workers 2
evaluate cpu cpu --workers 0
if [ "$device" = cuda ]; then # one rank, so that NCCL starts and every collective runs
  step nccl 60 "$PY" -m torch.distributed.run --nproc-per-node 1 -m mlcd_eval run --device cuda --tasks knn/demo_clipart \
    --model "$OUT/train_clip/demo_clip" --output "$OUT/eval_nccl" --cache "$OUT/cache_nccl" --limit $limit
fi
step figures "$(left)" "$PY" benchmarks/gpu_figures.py measure "$OUT" --device "$device" --seconds "$(left)" $tiny
echo
"$PY" benchmarks/gpu_figures.py report "$OUT" || failed=1
exit $failed
