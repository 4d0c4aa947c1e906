#!/usr/bin/env bash
# All eight methods side by side at a size that a CPU carries: 20 classes that the codec has not
# seen, base 10, 5 phases, three seeds. Given again, it goes on where it was.
#
#   benchmarks/methods.sh mem.drr OUT [PROCESSES]
#
# The memory keeps 20 raw exemplars of each class (`drrpack encode --raw-per-class 20`). Each process
# has one thread, and trains one method at a time.
set -euo pipefail
if (($# < 2)); then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
export memory=$1 out=$2 OMP_NUM_THREADS=1

train() {
    drrpack train "$memory" --method "$1" --no-ceiling --classes 50:70 --base 10 --phases 5 \
        --recipe fast --epochs 8 --width 8 --seeds 3 --resume --out "$out/$1" >"$out/$1.log" 2>&1
}
export -f train

mkdir -p "$out"
printf '%s\n' ib-drr ib-drr-star er-webp er-jpeg drr ub er finetune |
    xargs -P "${3:-$(nproc)}" -I METHOD bash -c 'train METHOD'
drrpack report "$out" -o "$out/report.html"
drrpack report "$out" -o "$out/accuracy.png"
