// Runs one named workload on goroutines, with two of them at a time, and prints its timings as one
// JSON object. Whoever starts goroutines waits for them through a WaitGroup; graphs and loops are
// made by hand, because Go has neither.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

func empty(sampler Sampler) Outcome {
	bytes := make([]byte, million)
	round := byte(0)
	outcome := sampler.Time(million, func() {
		round++
		var group sync.WaitGroup
		group.Add(million)
		for i := range bytes {
			slot := &bytes[i]
			go func() {
				*slot = round
				group.Done()
			}()
		}
		group.Wait()
	})
	outcome.checksum = countBytes(bytes, round)
	return outcome
}

// graphRun is one graph, and who waits for its last layer.
type graphRun struct {
	graph *dag
	last  sync.WaitGroup
}

func (run *graphRun) start(index int32) {
	go func() {
		run.graph.execute(index, run.start)
		if index >= nodes-width {
			run.last.Done()
		}
	}()
}

func dagRerun(sampler Sampler) Outcome {
	run := &graphRun{graph: newDag()}
	rounds := uint64(0)
	outcome := sampler.Time(nodes, func() {
		rounds++
		run.last.Add(width)
		for index := int32(0); index < width; index++ {
			run.start(index)
		}
		run.last.Wait()
	})
	outcome.checksum = run.graph.count(rounds)
	return outcome
}

func fib(n uint64) uint64 {
	if n < 2 {
		return n
	}
	var spawned uint64
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		spawned = fib(n - 1)
		group.Done()
	}()
	called := fib(n - 2)
	group.Wait()
	return called + spawned
}

func skynet(first, size uint64) uint64 {
	if size == 1 {
		return first
	}
	part := size / skynetChildren
	var sums [skynetChildren]uint64
	var group sync.WaitGroup
	group.Add(skynetChildren)
	for child := uint64(0); child < skynetChildren; child++ {
		child := child
		go func() {
			sums[child] = skynet(first+child*part, part)
			group.Done()
		}()
	}
	group.Wait()
	total := uint64(0)
	for _, sum := range sums {
		total += sum
	}
	return total
}

func nqueens(current board) uint64 {
	if current.columns == allColumns {
		return 1
	}
	var found [queens]board
	var sums [queens]uint64
	var group sync.WaitGroup
	count := current.children(&found)
	group.Add(count)
	for i := 0; i < count; i++ {
		i := i
		go func() {
			sums[i] = nqueens(found[i])
			group.Done()
		}()
	}
	group.Wait()
	total := uint64(0)
	for _, sum := range sums {
		total += sum
	}
	return total
}

// tree times a computation that returns the checksum.
func tree(units int, compute func() uint64) func(Sampler) Outcome {
	return func(sampler Sampler) Outcome {
		result := uint64(0)
		outcome := sampler.Time(units, func() { result = compute() })
		outcome.checksum = result
		return outcome
	}
}

// parallelFor has each goroutine take the next so many iterations from a counter they share.
func parallelFor(grain int64) func(Sampler) Outcome {
	return func(sampler Sampler) Outcome {
		bytes := make([]byte, million)
		round := byte(0)
		outcome := sampler.Time(million, func() {
			round++
			var next atomic.Int64
			var group sync.WaitGroup
			group.Add(workers)
			for worker := 0; worker < workers; worker++ {
				go func() {
					for first := next.Add(grain) - grain; first < million; first = next.Add(grain) - grain {
						part := bytes[first:min(first+grain, million)]
						for i := range part {
							part[i] = round
						}
					}
					group.Done()
				}()
			}
			group.Wait()
		})
		outcome.checksum = countBytes(bytes, round)
		return outcome
	}
}

// launch runs the small graph as calls and goroutines: one, two side by side, one.
func launch(sampler Sampler) Outcome {
	counters := make([]counter, launchNodes)
	rounds := uint64(0)
	outcome := sampler.Time(1, func() {
		rounds++
		counters[0].value++
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			counters[1].value++
			group.Done()
		}()
		counters[2].value++
		group.Wait()
		counters[3].value++
	})
	outcome.checksum = countRuns(counters, rounds)
	return outcome
}

var workloads = map[string]func(Sampler) Outcome{
	"empty":             empty,
	"dag":               dagRerun,
	"fib":               tree(fibSpawns, func() uint64 { return fib(fibArgument) }),
	"skynet":            tree(skynetSpawns, func() uint64 { return skynet(0, million) }),
	"parallel_for_1":    parallelFor(1),
	"parallel_for_auto": parallelFor(million / (8 * workers)),
	"launch":            launch,
	"nqueens":           tree(queensSpawns, func() uint64 { return nqueens(board{}) }),
}

func main() {
	runtime.GOMAXPROCS(workers)
	if len(os.Args) == 2 && os.Args[1] == "list" {
		names := make([]string, 0, len(workloads))
		for name := range workloads {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Println("Go", name)
		}
		return
	}
	if len(os.Args) < 2 || workloads[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: tasks list | tasks WORKLOAD [SAMPLES] [MINIMUM_MS]")
		os.Exit(2)
	}
	minimum := time.Duration(option(3, 5)) * time.Millisecond
	sampler := Sampler{samples: max(1, option(2, 20)), minimum: minimum}
	report(os.Args[1], workloads[os.Args[1]](sampler))
}
