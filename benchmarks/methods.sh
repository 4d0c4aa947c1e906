#!/usr/bin/env bash
# All methods side by side at a size that a CPU carries: a ResNet-18 of width 8, 8 epochs a phase.
# Given again, it goes on where it was; a run whose result is in OUT already is not made again.
#
#   benchmarks/methods.sh STUDY mem.drr OUT [PROCESSES]
#
# STUDY is tin20 (20 classes that the codec has not seen, base 10, 5 phases of 2, three seeds) or
# cifar100 (100 classes, base 50, 5 phases of 10, one seed of every method, three of some). The memory
# keeps 20 raw exemplars of each class (`drrpack encode --raw-per-class 20`). Each process has one
# thread, and trains one method at a time.
set -euo pipefail
if (($# < 3)); then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
study=$1
export memory=$2 out=$3 OMP_NUM_THREADS=1
case $study in
    tin20)
        export classes=50:70 base=10
        methods=(ib-drr ib-drr-star drr ub er-webp er-jpeg er finetune)
        more=("${methods[@]}") # seeds 1 and 2
        ;;
    cifar100)
        export classes=100 base=50
        methods=(finetune lwf er icarl lucir drr ub er-jpeg mnemonics gfr memo foster der er-webp ib-drr
            ib-drr-star)
        more=(er icarl lucir drr ub er-jpeg er-webp ib-drr)
        ;;
    *)
        echo "found the study $study, expected tin20 or cifar100" >&2
        exit 2
        ;;
esac

train() {
    local folder="$out/$1-5phases-seed$2"
    if grep -qs '"complete": true' "$folder/result.json"; then
        return
    fi
    drrpack train "$memory" --method "$1" --no-ceiling --classes "$classes" --base "$base" --phases 5 \
        --recipe fast --epochs 8 --width 8 --seed "$2" --resume --out "$folder" >"$folder.log" 2>&1
}
export -f train

mkdir -p "$out"
{ # a seed of every method first: what is broken off can be looked at
    printf '%s 0\n' "${methods[@]}"
    printf '%s 1\n' "${more[@]}"
    printf '%s 2\n' "${more[@]}"
} | xargs -P "${4:-$(nproc)}" -L 1 bash -c 'train "$0" "$1"'
drrpack report "$out" -o "$out/report.html"
drrpack report "$out" -o "$out/accuracy.png"
python "$(dirname "$0")/methods_table.py" "$out" -o "$out/table.json"
