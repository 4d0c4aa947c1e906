#!/usr/bin/env bash
# All methods side by side at a size that a CPU carries: a ResNet-18 of width 8, 8 epochs a phase.
# Given again, it goes on where it was; a run whose result is in OUT already is not made again.
#
#   benchmarks/methods.sh STUDY mem.drr OUT [PROCESSES [options of `drrpack train`]]
#
# STUDY is tin20 (20 classes that the codec has not seen, base 10, 5 phases of 2, three seeds);
# cifar100 (100 classes, base 50, 5 phases of 10, one seed of every method, three of some); or budgets
# (the first 20 classes, base 10, 5 phases of 2, one seed, at several equal budgets of memory). The
# memory keeps 20 raw exemplars of each class (`drrpack encode --raw-per-class 20`). Each process has
# one thread, and trains one method at a time. On a GPU eight processes and `--width 32 --epochs 10` do.
set -euo pipefail
if (($# < 3)); then
    sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
study=$1
export memory=$2 out=$3 processes=${4:-$(nproc)} options="${*:5}" OMP_NUM_THREADS=1
case $study in
    tin20)
        export classes=50:70 base=10
        methods=(ib-drr ib-drr-star drr ub er-webp er-jpeg er finetune)
        more=("${methods[@]}") # seeds 1 and 2
        ;;
    cifar100)
        export classes=100 base=50
        methods=(er-webp drr-soft ib-drr ib-drr-star er-jpeg drr ub gfr mnemonics der foster memo lucir
            icarl lwf er finetune) # those that take longest first: so all end at about one time
        more=(er icarl lucir drr ub er-jpeg er-webp ib-drr)
        ;;
    budgets)
        export classes=20 base=10
        methods=(drr er-jpeg er lucir memo er-webp icarl foster der)
        more=()
        megabytes=(6.2 1.6 3.1 1.2) # 2,000 raw images are 6.2 MB; below 1.45 MB DRR drops images
        ;;
    *)
        echo "found the study $study, expected tin20, cifar100 or budgets" >&2
        exit 2
        ;;
esac

train() {
    local folder="$out/$1-5phases-seed$2${3:+-$3MB}"
    if grep -qs '"complete": true' "$folder/result.json"; then
        return
    fi
    local own=()
    [[ $1 == gfr ]] && own=(--set gan_epochs=100) # of 501, which take hours on a CPU
    drrpack train "$memory" --method "$1" --no-ceiling --classes "$classes" --base "$base" --phases 5 \
        --recipe fast --epochs 8 --width 8 --seed "$2" ${3:+--budget-mb "$3"} "${own[@]}" $options \
        --resume --out "$folder" >"$folder.log" 2>&1 || tail -n 3 "$folder.log" >&2
}
export -f train

mkdir -p "$out"
{ # a seed of every method first: what is broken off can be looked at
    for budget in "${megabytes[@]-}"; do
        printf "%s 0${budget:+ $budget}\n" "${methods[@]}" # no blank at the end: xargs would join lines
    done
    for seed in ${more[0]+1 2}; do
        printf "%s $seed\n" "${more[@]}"
    done
} | xargs -P "$processes" -L 1 bash -c 'train "$@"' _
drrpack report "$out" -o "$out/report.html"
drrpack report "$out" -o "$out/accuracy.png"
python "$(dirname "$0")/methods_table.py" "$out" -o "$out/table.json"
