#!/usr/bin/env bash
# The paper's study on a memory of 100 classes: its own methods, the ceiling and every rival, base 50,
# with 5, 10 and 25 phases, unattended; given again, it goes on where it was.
#
#   benchmarks/protocol.sh mem.drr OUT [options of `drrpack train`, such as --recipe paper --seeds 3]
#
# The memory keeps 20 raw exemplars of each class (`drrpack encode --raw-per-class 20`), and its class
# order is that of all runs (`--class-order 1993`). METHODS, a list with spaces, chooses some.
set -euo pipefail
if (($# < 2)); then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
memory=$1 out=$2
shift 2
all='drr drr-soft ib-drr-star ib-drr er-jpeg er-webp er finetune lwf icarl lucir mnemonics gfr der memo foster'

for method in ${METHODS:-$all}; do
    # the ceiling goes with the first of them; all share one class order
    ceiling=--no-ceiling
    [[ $method == drr ]] && ceiling=--ceiling
    drrpack train "$memory" --method "$method" --base 50 --phases 5,10,25 "$ceiling" --resume \
        --out "$out/$method" "$@"
done
drrpack report "$out" --memory "$memory" -o "$out/report.html"
