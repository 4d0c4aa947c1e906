#!/usr/bin/env bash
# DRR beside raw and JPEG exemplars at equal bytes on large photographs: 20 classes of ImageNet at
# 224x224, base 10, 5 phases of 2, a ResNet-18 of width 8 with the stem of large images. Given again,
# it goes on where it was.
#
#   benchmarks/imagenet.sh SRC OUT [IMAGES [EPOCHS]]
#
# SRC holds train/ and val/ with a folder for each class, such as the public repositories
# thunderInfy/imagenette and thunderInfy/imagewoof together. Of each class the first IMAGES training
# images are used (200 by default), and EPOCHS (10) in each phase; the test images are all of val/.
# Each method may keep as many bytes as the memory takes, models included; `ub` keeps all images.
set -euo pipefail
if (($# < 2)); then
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
source=$(realpath "$1") out=$2 images=${3:-200} epochs=${4:-10}

some="$out/source"
if [[ ! -d $some ]]; then
    mkdir -p "$some.part/train"
    ln -s "$source/val" "$some.part/val"
    for class in "$source"/train/*/; do
        name=$(basename "$class")
        mkdir -p "$some.part/train/$name"
        find "$class" -type f | LC_ALL=C sort | sed -n "1,${images}p" |
            xargs -I{} ln -s {} "$some.part/train/$name/"
    done
    mv "$some.part" "$some"
fi

memory="$out/mem.drr"
[[ -f $memory ]] || drrpack encode "$some" -o "$memory" --class-order 1993
size=$(stat -c %s "$memory" 2>/dev/null || stat -f %z "$memory")
budget=$(python -c "print($size / 1e6)")

for method in drr er-jpeg er ub; do
    folder="$out/$method"
    grep -qs '"complete": true' "$folder/result.json" && continue
    limit=()
    [[ $method == er* ]] && limit=(--budget-mb "$budget")
    drrpack train "$memory" --method "$method" ${limit[@]+"${limit[@]}"} --no-ceiling --base 10 \
        --phases 5 --recipe fast --epochs "$epochs" --width 8 --network resnet18-large --resume \
        --source "$some" --out "$folder"
done
drrpack report "$out" --memory "$memory" -o "$out/report.html"
