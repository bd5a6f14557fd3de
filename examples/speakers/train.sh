#!/bin/sh
# A training that is a shell script and knows nothing of Rung: one line per epoch on stdout, nothing else.
# sh train.sh --x=0.2 --epochs=9 --sleep=0.1
x=0.5 epochs=9 sleep=0
for argument in "$@"; do
    case $argument in
        --x=*) x=${argument#*=} ;;
        --epochs=*) epochs=${argument#*=} ;;
        --sleep=*) sleep=${argument#*=} ;;
        *) echo "unknown argument $argument" >&2; exit 78 ;;
    esac
done
trap 'exit 143' TERM
epoch=0
while [ "$epoch" -lt "$epochs" ]; do
    sleep "$sleep" & wait $!  # a plain sleep would hold the trap back
    epoch=$((epoch + 1))
    awk -v x="$x" -v n="$epoch" 'BEGIN { printf "Epoch %d: val_loss=%g\n", n, (x - 0.3) ^ 2 + 1 / n }'
done
