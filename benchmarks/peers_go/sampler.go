package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// How long a body runs before anything is recorded.
const warmUp = 100 * time.Millisecond

// No sample repeats its body more often than this.
const maxInner = 1 << 24

// Sampler is what was asked for on the command line.
type Sampler struct {
	samples int
	minimum time.Duration
}

// Outcome holds seconds per task, and the number that shows the work was done.
type Outcome struct {
	seconds  []float64
	inner    int
	checksum uint64
}

// Time times a body of so many tasks.
func (sampler Sampler) Time(units int, body func()) Outcome {
	run := func(inner int) time.Duration {
		start := time.Now()
		for i := 0; i < inner; i++ {
			body()
		}
		return time.Since(start)
	}
	outcome := Outcome{inner: sampler.calibrate(run)}
	for i := 0; i < sampler.samples; i++ {
		seconds := run(outcome.inner).Seconds() / float64(outcome.inner) / float64(units)
		outcome.seconds = append(outcome.seconds, seconds)
	}
	return outcome
}

// calibrate doubles the iterations until a sample is long enough and the warm-up is over.
func (sampler Sampler) calibrate(run func(int) time.Duration) int {
	start := time.Now()
	// The first run pays for what later ones find ready: threads, stacks, pages.
	run(1)
	inner := 1
	for inner < maxInner && run(inner) < sampler.minimum {
		inner *= 2
	}
	for time.Since(start) < warmUp {
		run(inner)
	}
	return inner
}

// report prints the JSON of benchmarks/protocol.py.
func report(workload string, outcome Outcome) {
	seconds := make([]string, len(outcome.seconds))
	for i, value := range outcome.seconds {
		seconds[i] = strconv.FormatFloat(value, 'e', 9, 64)
	}
	fmt.Printf("{\"peer\": \"Go\", \"workload\": %q, \"seconds\": [%s], "+
		"\"inner\": %d, \"checksum\": %d}\n", workload, strings.Join(seconds, ", "), outcome.inner, outcome.checksum)
}

// option reads a whole number of the command line.
func option(index, fallback int) int {
	if len(os.Args) <= index {
		return fallback
	}
	value, err := strconv.Atoi(os.Args[index])
	if err != nil {
		fmt.Fprintln(os.Stderr, "SAMPLES and MINIMUM_MS are whole numbers")
		os.Exit(2)
	}
	return value
}
