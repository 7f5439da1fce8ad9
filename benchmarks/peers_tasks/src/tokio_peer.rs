//! tokio: its multi-threaded runtime with two workers, driven from a task on one of them.
//!
//! A task that starts others waits for their handles. tokio has no graphs and no parallel loops:
//! a node that finishes spawns what it made ready, by hand, and loops are left out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::Outcome;
use crate::sampler::Sampler;
use crate::work::*;

pub const WORKLOADS: &[&str] = &["empty", "dag", "fib", "skynet", "launch", "nqueens"];

type Sum = Pin<Box<dyn Future<Output = u64> + Send>>;

pub fn run(workload: &str, sampler: &Sampler) -> Option<Outcome> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .build()
        .expect("a runtime");
    Some(match workload {
        "empty" => empty(sampler, &runtime),
        "dag" => dag(sampler, &runtime),
        "fib" => tree(sampler, &runtime, FIB_SPAWNS, || fib(FIB)),
        "skynet" => tree(sampler, &runtime, SKYNET_SPAWNS, || {
            skynet(0, MILLION as u64)
        }),
        "launch" => launch(sampler, &runtime),
        "nqueens" => tree(sampler, &runtime, QUEENS_SPAWNS, || nqueens(Board::empty())),
        _ => return None,
    })
}

/// Runs a future on a worker and waits for it from outside.
fn on_worker<Output: Send + 'static>(
    runtime: &Runtime,
    future: impl Future<Output = Output> + Send + 'static,
) -> Output {
    runtime
        .block_on(runtime.spawn(future))
        .expect("a task that does not panic")
}

fn tree(sampler: &Sampler, runtime: &Runtime, spawns: u64, root: impl Fn() -> Sum) -> Outcome {
    let mut result = 0;
    let measurement = sampler.time(|| result = on_worker(runtime, root()));
    Outcome::new(measurement, spawns, result)
}

fn empty(sampler: &Sampler, runtime: &Runtime) -> Outcome {
    let bytes: &'static Bytes = Box::leak(Box::new(Bytes::new()));
    let mut round = 0_u8;
    let measurement = sampler.time(|| {
        round = round.wrapping_add(1);
        on_worker(runtime, async move {
            let spawn = |slot: &'static std::sync::atomic::AtomicU8| {
                tokio::spawn(async move { slot.store(round, Ordering::Relaxed) })
            };
            let tasks: Vec<_> = bytes.slots().iter().map(spawn).collect();
            for task in tasks {
                task.await.expect("a task that does not panic");
            }
        });
    });
    Outcome::new(measurement, MILLION as u64, bytes.count(round))
}

/// The graph, how many nodes of the last layer have yet to run, and who waits for them.
struct Run {
    dag: Dag,
    left: AtomicUsize,
    done: Notify,
}

fn execute(run: &Arc<Run>, index: usize) {
    run.dag.execute(index, |ready| spawn_node(run, ready));
    // Acquires the work of the other two before the waiter is told.
    if Dag::is_last(index) && run.left.fetch_sub(1, Ordering::AcqRel) == 1 {
        run.done.notify_one();
    }
}

fn spawn_node(run: &Arc<Run>, index: usize) {
    let run = Arc::clone(run);
    tokio::spawn(async move { execute(&run, index) });
}

fn dag(sampler: &Sampler, runtime: &Runtime) -> Outcome {
    let run = Arc::new(Run {
        dag: Dag::new(),
        left: AtomicUsize::new(0),
        done: Notify::new(),
    });
    let measurement = sampler.time(|| {
        let run = Arc::clone(&run);
        on_worker(runtime, async move {
            run.left.store(WIDTH, Ordering::Relaxed);
            (0..WIDTH).for_each(|index| spawn_node(&run, index));
            run.done.notified().await;
        });
    });
    let ran = run.dag.count(measurement.runs);
    Outcome::new(measurement, NODES as u64, ran)
}

fn fib(n: u32) -> Sum {
    Box::pin(async move {
        if n < 2 {
            return u64::from(n);
        }
        let spawned = tokio::spawn(fib(n - 1));
        let called = fib(n - 2).await;
        called + spawned.await.expect("a task that does not panic")
    })
}

fn skynet(first: u64, size: u64) -> Sum {
    Box::pin(async move {
        if size == 1 {
            return first;
        }
        let part = size / SKYNET_CHILDREN as u64;
        let spawn = |child| tokio::spawn(skynet(first + child as u64 * part, part));
        let children: Vec<_> = (0..SKYNET_CHILDREN).map(spawn).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.expect("a task that does not panic");
        }
        sum
    })
}

/// The small graph from a task, so that a launch is not a message between threads.
fn launch(sampler: &Sampler, runtime: &Runtime) -> Outcome {
    const INNER: u64 = 100;
    let counters: &'static [Counter; LAUNCH_NODES] = Box::leak(Box::default());
    let measurement = sampler.time(|| {
        on_worker(runtime, async {
            for _ in 0..INNER {
                counters[0].add();
                let left = tokio::spawn(async { counters[1].add() });
                let right = tokio::spawn(async { counters[2].add() });
                left.await.expect("a task that does not panic");
                right.await.expect("a task that does not panic");
                counters[3].add();
            }
        });
    });
    let ran = count_runs(counters.iter(), measurement.runs * INNER);
    Outcome::new(measurement, INNER, ran)
}

fn nqueens(board: Board) -> Sum {
    Box::pin(async move {
        if board.is_full() {
            return 1;
        }
        let children: Vec<_> = board
            .children()
            .map(|child| tokio::spawn(nqueens(child)))
            .collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.expect("a task that does not panic");
        }
        sum
    })
}
