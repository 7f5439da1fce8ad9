package main

import "sync/atomic"

// What the workloads do, the same in every language: benchmarks/peers_tasks/src/work.rs in Go.
const (
	workers        = 2
	million        = 1_000_000
	layers         = 333
	width          = 3
	nodes          = layers * width
	fibArgument    = 27
	fibSpawns      = 317_810
	skynetChildren = 10
	skynetSpawns   = 1_111_110
	queens         = 11
	queensSpawns   = 166_925
	launchNodes    = 4
)

// countBytes tells how many bytes hold the value of the last round.
func countBytes(bytes []byte, round byte) uint64 {
	var count uint64
	for _, value := range bytes {
		if value == round {
			count++
		}
	}
	return count
}

// counter has a cache line of its own and is added to by one goroutine at a time.
type counter struct {
	value uint64
	_     [56]byte
}

// countRuns tells how many counters went up by the rounds that were run.
func countRuns(counters []counter, rounds uint64) uint64 {
	var count uint64
	for i := range counters {
		if counters[i].value == rounds {
			count++
		}
	}
	return count
}

// node runs when nothing is pending.
type node struct {
	count          uint64
	pending        atomic.Int32
	waitsFor       int32
	firstSuccessor int32
	successorCount int32
	_              [40]byte
}

// dag is the graph of 333 layers, built once: every node waits for all of the layer before.
type dag [nodes]node

func newDag() *dag {
	graph := new(dag)
	for index := range graph {
		layer := index / width
		if layer > 0 {
			graph[index].waitsFor = width
		}
		graph[index].pending.Store(graph[index].waitsFor)
		if layer+1 < layers {
			graph[index].firstSuccessor = int32((layer + 1) * width)
			graph[index].successorCount = width
		}
	}
	return graph
}

// execute runs a node and gives each successor that now waits for nothing to spawn. The node itself
// is made ready for the next round: by then everything that it waits for has yet to run.
func (graph *dag) execute(index int32, spawn func(int32)) {
	current := &graph[index]
	current.count++
	current.pending.Store(current.waitsFor)
	for i := int32(0); i < current.successorCount; i++ {
		successor := current.firstSuccessor + i
		if graph[successor].pending.Add(-1) == 0 {
			spawn(successor)
		}
	}
}

// count tells how many nodes ran in every round.
func (graph *dag) count(rounds uint64) uint64 {
	var count uint64
	for i := range graph {
		if graph[i].count == rounds {
			count++
		}
	}
	return count
}

// board has some queens on it: the columns and the diagonals that are taken.
type board struct {
	columns, left, right uint32
}

const allColumns = 1<<queens - 1

// children appends boards with one queen more, in the next row, and returns how many there are.
func (current board) children(found *[queens]board) int {
	free := allColumns &^ (current.columns | current.left | current.right)
	count := 0
	for column := 0; column < queens; column++ {
		queen := uint32(1) << column
		if free&queen != 0 {
			found[count] = board{
				columns: current.columns | queen,
				left:    (current.left | queen) << 1,
				right:   (current.right | queen) >> 1,
			}
			count++
		}
	}
	return count
}
