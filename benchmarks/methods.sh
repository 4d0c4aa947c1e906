#!/usr/bin/env bash
# All eight methods side by side at a size that a CPU carries: 20 classes that the codec has not
# seen, base 10, 5 phases, three seeds. Given again, it goes on where it was; a run whose result is
# in OUT already is not made again.
#
#   benchmarks/methods.sh mem.drr OUT [PROCESSES]
#
# The memory keeps 20 raw exemplars of each class (`drrpack encode --raw-per-class 20`). Each process
# has one thread, and trains one method at a time.
set -euo pipefail
if (($# < 2)); then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
export memory=$1 out=$2 OMP_NUM_THREADS=1

train() {
    local folder="$out/$1-5phases-seed$2"
    if grep -qs '"complete": true' "$folder/result.json"; then
        return
    fi
    drrpack train "$memory" --method "$1" --no-ceiling --classes 50:70 --base 10 --phases 5 \
        --recipe fast --epochs 8 --width 8 --seed "$2" --resume --out "$folder" >"$folder.log" 2>&1
}
export -f train

mkdir -p "$out"
for seed in 0 1 2; do # a seed of every method first: what is broken off can be looked at
    printf "%s $seed\n" ib-drr ib-drr-star drr ub er-webp er-jpeg er finetune
done | xargs -P "${3:-$(nproc)}" -L 1 bash -c 'train "$0" "$1"'
drrpack report "$out" -o "$out/report.html"
drrpack report "$out" -o "$out/accuracy.png"
python "$(dirname "$0")/methods_table.py" "$out" -o "$out/table.json"
