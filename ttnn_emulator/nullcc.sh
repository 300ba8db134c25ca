#!/bin/sh
# Stands in for riscv-tt-elf-g++ (see toolchain.py). ttnn starts it more than a thousand times on a cold cache, so it is
# a shell script, which starts in a tenth of Python's time. nullcc.py, beside it, makes one kernel for each firmware;
# all other kernels behind that firmware are copies, because none ever runs.
here=${0%/*}
if [ "$1" = --version ]; then
    cat "$here/version"
    exit
fi
out= source= firmware= before=
for argument; do
    [ "$before" = -o ] && out=$argument
    case $argument in
        *.cpp | *.cc | *.c | *.S) source=$argument ;;
        -Wl,--just-symbols=*) firmware=${argument#*=} ;;
    esac
    before=$argument
done
case $out in
    '') ;;
    *.elf)
        target=${firmware%/*/*} # .../<build>/brisc/brisc_weakened.elf
        linked="$here/linked/${target##*/}-${firmware##*/}"
        [ -s "$linked" ] || PYTHON -SE "$here/nullcc.py" "$firmware" "$linked" || exit
        cp "$linked" "$out.$$.part" && mv "$out.$$.part" "$out" # others may read it while it is written
        ;;
    *)
        : > "$out"
        case $out in *.o) # ttnn rebuilds when a file of this list changes
            echo "$out: $source" > "$out.$$.part" && mv "$out.$$.part" "${out%.o}.d" ;;
        esac
        ;;
esac
