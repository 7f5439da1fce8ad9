//! What the workloads do, the same in every language, and the traces by which they show they did.
//!
//! A task of `empty` and an iteration of a parallel loop write one byte of their own; a node of a
//! graph adds one to a counter that has a cache line to itself. Trees return sums. A checksum
//! counts what holds the value of the last round, so it is the same for all contenders.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Threads of every scheduler, the caller included where it takes part.
pub const WORKERS: usize = 2;
/// Tasks of `empty`, leaves of `skynet`, iterations of the parallel loops.
pub const MILLION: usize = 1_000_000;
/// Layers of the graph, and nodes in each; every node waits for the whole layer before.
pub const LAYERS: usize = 333;
pub const WIDTH: usize = 3;
pub const NODES: usize = LAYERS * WIDTH;
/// The argument of `fib`, and how often it spawns.
pub const FIB: u32 = 27;
pub const FIB_SPAWNS: u64 = 317_810;
/// Children of a node of `skynet`, and tasks of the whole tree without its root.
pub const SKYNET_CHILDREN: usize = 10;
pub const SKYNET_SPAWNS: u64 = 1_111_110;
/// Queens on the board, and tasks of the whole search: one for each queen placed.
pub const QUEENS: u32 = 11;
pub const QUEENS_SPAWNS: u64 = 166_925;
/// Nodes of the small graph: one, two side by side, one.
pub const LAUNCH_NODES: usize = 4;

/// One byte for each task; each task writes its own.
pub struct Bytes(Vec<AtomicU8>);

impl Bytes {
    /// All zero.
    pub fn new() -> Self {
        Self((0..MILLION).map(|_| AtomicU8::new(0)).collect())
    }

    /// The bytes, to hand out one by one.
    pub fn slots(&self) -> &[AtomicU8] {
        &self.0
    }

    /// How many were written in the round given.
    pub fn count(&self, round: u8) -> u64 {
        let written = |byte: &&AtomicU8| byte.load(Ordering::Relaxed) == round;
        self.0.iter().filter(written).count() as u64
    }
}

/// A count of its own cache line, added to by one thread at a time.
#[repr(align(64))]
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one, with a plain load and a plain store.
    pub fn add(&self) {
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value + 1, Ordering::Relaxed);
    }

    /// What was added so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of the counters went up by the rounds that were run.
pub fn count_runs<'a>(counters: impl Iterator<Item = &'a Counter>, rounds: u64) -> u64 {
    counters.filter(|counter| counter.value() == rounds).count() as u64
}

/// A node of the graph, for schedulers that have no graphs: it runs when nothing is pending.
#[repr(align(64))]
pub struct Node {
    counter: AtomicU64,
    pending: AtomicU32,
    waits_for: u32,
    successors: std::ops::Range<usize>,
}

/// The graph of 333 layers, built once.
pub struct Dag(Vec<Node>);

impl Dag {
    /// Every node waits for all of the layer before.
    pub fn new() -> Self {
        let node = |index: usize| {
            let layer = index / WIDTH;
            let waits_for = if layer == 0 { 0 } else { WIDTH as u32 };
            let next = (layer + 1) * WIDTH;
            Node {
                counter: AtomicU64::new(0),
                pending: AtomicU32::new(waits_for),
                waits_for,
                successors: next.min(NODES)..(next + WIDTH).min(NODES),
            }
        };
        Self((0..NODES).map(node).collect())
    }

    /// Runs a node and gives each successor that now waits for nothing to `spawn`. The node itself
    /// is made ready for the next round: by then everything that it waits for has yet to run.
    pub fn execute(&self, index: usize, mut spawn: impl FnMut(usize)) {
        let node = &self.0[index];
        let count = node.counter.load(Ordering::Relaxed);
        node.counter.store(count + 1, Ordering::Relaxed);
        node.pending.store(node.waits_for, Ordering::Relaxed);
        for successor in node.successors.clone() {
            // Releases this node's work to the successor, acquires that of the others.
            if self.0[successor].pending.fetch_sub(1, Ordering::AcqRel) == 1 {
                spawn(successor);
            }
        }
    }

    /// Whether the node is of the last layer.
    pub fn is_last(index: usize) -> bool {
        index >= NODES - WIDTH
    }

    /// How many nodes ran in every round.
    pub fn count(&self, rounds: u64) -> u64 {
        let ran = |node: &&Node| node.counter.load(Ordering::Relaxed) == rounds;
        self.0.iter().filter(ran).count() as u64
    }
}

/// A board with some queens on it: the columns and the diagonals that are taken.
#[derive(Clone, Copy)]
pub struct Board {
    columns: u32,
    left: u32,
    right: u32,
}

impl Board {
    /// No queen.
    pub fn empty() -> Self {
        Self {
            columns: 0,
            left: 0,
            right: 0,
        }
    }

    /// Whether every row has its queen.
    pub fn is_full(self) -> bool {
        self.columns == (1 << QUEENS) - 1
    }

    /// Boards with one queen more, in the next row.
    pub fn children(self) -> impl Iterator<Item = Board> {
        let free = ((1 << QUEENS) - 1) & !(self.columns | self.left | self.right);
        (0..QUEENS)
            .map(|column| 1 << column)
            .filter_map(move |queen| {
                (free & queen != 0).then(|| Board {
                    columns: self.columns | queen,
                    left: (self.left | queen) << 1,
                    right: (self.right | queen) >> 1,
                })
            })
    }
}
