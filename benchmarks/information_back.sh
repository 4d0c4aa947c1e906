#!/usr/bin/env bash
# Each form of information back, and what else may help, beside plain DRR, paired by seed: 20 classes
# of a memory, base 10, one phase of 10, a ResNet-18 of width 8, 8 epochs a phase. Given again, it goes
# on where it was.
#
#   benchmarks/information_back.sh mem.drr OUT [SEEDS] [PROCESSES]
#
# The memory keeps 20 raw exemplars of each class (`drrpack encode --raw-per-class 20`). Each process
# has one thread. `benchmarks/paired.py OUT` then says what each form adds to `drr`, with an interval.
set -euo pipefail
if (($# < 2)); then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
export memory=$1 out=$2 OMP_NUM_THREADS=1
seeds=${3:-5}

# a name, the method, its options with commas, and an option of the training
forms=(
    drr:drr:
    paper:ib-drr:
    ten-times:ib-drr:similarity_weight=0.05
    sum:ib-drr:reduction=sum
    before-relu:ib-drr:compared=before_relu,similarity_weight=0.05
    centred:ib-drr:compared=centred,similarity_weight=0.05
    stages:ib-drr:compared=stages,similarity_weight=0.05
    predictor:ib-drr:predictor=true,similarity_weight=0.05
    balanced:ib-drr:drawn=balanced,similarity_weight=0.05
    soft:drr-soft:
    flip:drr::--test-augmentation=flip
    ten-crop:drr::--test-augmentation=ten-crop
    randaugment:drr::--augmentation=randaugment
    autoaugment:drr::--augmentation=autoaugment
    autoaugment-back:ib-drr::--augmentation=autoaugment
)

train() {
    local name method options training folder set=()
    IFS=: read -r name method options training <<<"$1"
    folder="$out/$name-seed$2"
    if grep -qs '"complete": true' "$folder/result.json"; then
        return
    fi
    for option in ${options//,/ }; do
        set+=(--set "$option")
    done
    drrpack train "$memory" --method "$method" ${set[@]+"${set[@]}"} $training --no-ceiling \
        --classes 0:20 --base 10 --phases 1 --recipe fast --epochs 8 --width 8 --seed "$2" --resume \
        --out "$folder" >"$folder.log" 2>&1
}
export -f train

mkdir -p "$out"
for ((seed = 0; seed < seeds; seed++)); do
    printf "%s $seed\n" "${forms[@]}"
done | xargs -P "${4:-$(nproc)}" -L 1 bash -c 'train "$0" "$1"'
python "$(dirname "$0")/paired.py" "$out" --against drr -o "$out/paired.json"
