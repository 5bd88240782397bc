# The plots of a run of ringbench: throughput against size, latencies, scaling.
#
#   ringbench --plot-data=FOLDER
#   gnuplot -e "folder='FOLDER'" bench/plots.gp
#
# or in one: cmake --build --preset plots. Each file of data has a block per queue, whose first line
# is the queue's name.

set terminal svg size 900,520 dynamic font "sans-serif,13" background rgb "white"
set key outside right top noenhanced
set grid
set style data linespoints
set pointsize 0.5

# The line of our own queues is thick, that of the hardware's limit is dashed.
width(name) = name eq "mring" ? 3 : 1
blocks(file) = int(system(sprintf("grep -c '^\"' '%s/%s'", folder, file)))
title_of(file, i) = \
    system(sprintf("grep '^\"' '%s/%s' | sed -n '%dp' | tr -d '\"'", folder, file, i + 1))
dash(name) = name eq "handover" || name eq "line" || name eq "futex" ? 2 : 1

set output folder."/bytes.svg"
set title "Chunks of bytes from one thread to another, through 64 KiB (128 KiB for the largest)"
set xlabel "bytes of a chunk"
set ylabel "GB/s"
set logscale x 2
set logscale y
plot for [i = 0:blocks("bytes.dat") - 1] folder."/bytes.dat" index i every ::1 using 1:2 \
    linewidth width(title_of("bytes.dat", i)) dashtype dash(title_of("bytes.dat", i)) \
    title title_of("bytes.dat", i)
unset logscale

set output folder."/scaling.svg"
set title "Records of 8 bytes, n producers and n consumers"
set xlabel "n"
set ylabel "M/s"
set xtics 1
set logscale y
set yrange [*:*]
plot for [i = 0:blocks("scaling.dat") - 1] folder."/scaling.dat" index i every ::1 using 1:2 \
    linewidth width(title_of("scaling.dat", i)) title title_of("scaling.dat", i)
unset logscale
set xtics autofreq

# Percentiles at 1 / (1 - p), so that each nine takes as much room as the one before.
set xlabel "percentile"
set ylabel "ns"
set logscale x
set logscale y
set xrange [1:10000]
set xtics ("0" 1, "50" 2, "90" 10, "99" 100, "99.9" 1000, "99.99" 10000)

set output folder."/latency.svg"
set title "An item of 8 bytes there and back between two threads that poll"
plot for [i = 0:blocks("latency.dat") - 1] folder."/latency.dat" index i every ::1 \
    using (100 / (100 - $1)):2 linewidth width(title_of("latency.dat", i)) \
    dashtype dash(title_of("latency.dat", i)) title title_of("latency.dat", i)

set output folder."/wake.svg"
set title "From put to the return of a get that slept"
plot for [i = 0:blocks("wake.dat") - 1] folder."/wake.dat" index i every ::1 \
    using (100 / (100 - $1)):2 linewidth width(title_of("wake.dat", i)) \
    dashtype dash(title_of("wake.dat", i)) title title_of("wake.dat", i)
