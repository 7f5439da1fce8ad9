//! rayon: everything runs from inside a pool of two threads, where its fast paths are.
//!
//! Trees use `join` where there are two branches and `scope` where there are more. rayon has no
//! graphs: a node that finishes spawns what it made ready, by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

use crate::Outcome;
use crate::sampler::Sampler;
use crate::work::*;

pub const WORKLOADS: &[&str] = &[
    "empty",
    "dag",
    "fib",
    "skynet",
    "parallel_for_1",
    "parallel_for_auto",
    "launch",
    "launch_outside",
    "nqueens",
];

pub fn run(workload: &str, sampler: &Sampler) -> Option<Outcome> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(WORKERS)
        .build()
        .expect("a thread pool");
    if workload == "launch_outside" {
        return Some(launch(sampler, Some(&pool)));
    }
    pool.install(|| {
        Some(match workload {
            "empty" => empty(sampler),
            "dag" => dag(sampler),
            "fib" => {
                let mut result = 0;
                let measurement = sampler.time(|| result = fib(FIB));
                Outcome::new(measurement, FIB_SPAWNS, result)
            }
            "skynet" => {
                let mut result = 0;
                let measurement = sampler.time(|| result = skynet(0, MILLION as u64));
                Outcome::new(measurement, SKYNET_SPAWNS, result)
            }
            "parallel_for_1" => parallel_for(sampler, Some(1)),
            "parallel_for_auto" => parallel_for(sampler, None),
            "launch" => launch(sampler, None),
            "nqueens" => {
                let mut result = 0;
                let measurement = sampler.time(|| result = nqueens(Board::empty()));
                Outcome::new(measurement, QUEENS_SPAWNS, result)
            }
            _ => return None,
        })
    })
}

fn empty(sampler: &Sampler) -> Outcome {
    let bytes = Bytes::new();
    let mut round = 0_u8;
    let measurement = sampler.time(|| {
        round = round.wrapping_add(1);
        rayon::scope(|scope| {
            for slot in bytes.slots() {
                scope.spawn(move |_| slot.store(round, Ordering::Relaxed));
            }
        });
    });
    Outcome::new(measurement, MILLION as u64, bytes.count(round))
}

fn execute<'scope>(dag: &'scope Dag, scope: &Scope<'scope>, index: usize) {
    dag.execute(index, |ready| {
        scope.spawn(move |scope| execute(dag, scope, ready));
    });
}

fn dag(sampler: &Sampler) -> Outcome {
    let dag = Dag::new();
    let measurement = sampler.time(|| {
        rayon::scope(|scope| {
            for index in 0..WIDTH {
                let dag = &dag;
                scope.spawn(move |scope| execute(dag, scope, index));
            }
        });
    });
    let ran = dag.count(measurement.runs);
    Outcome::new(measurement, NODES as u64, ran)
}

fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (called, spawned) = rayon::join(|| fib(n - 2), || fib(n - 1));
    called + spawned
}

fn skynet(first: u64, size: u64) -> u64 {
    if size == 1 {
        return first;
    }
    let part = size / SKYNET_CHILDREN as u64;
    let sums: [AtomicU64; SKYNET_CHILDREN] = Default::default();
    rayon::scope(|scope| {
        for (child, sum) in sums.iter().enumerate() {
            scope.spawn(move |_| {
                sum.store(skynet(first + child as u64 * part, part), Ordering::Relaxed);
            });
        }
    });
    sums.iter().map(|sum| sum.load(Ordering::Relaxed)).sum()
}

fn parallel_for(sampler: &Sampler, grain: Option<usize>) -> Outcome {
    let bytes = Bytes::new();
    let mut round = 0_u8;
    let measurement = sampler.time(|| {
        round = round.wrapping_add(1);
        let slots = bytes.slots().par_iter();
        match grain {
            Some(grain) => slots
                .with_max_len(grain)
                .for_each(|slot| slot.store(round, Ordering::Relaxed)),
            None => slots.for_each(|slot| slot.store(round, Ordering::Relaxed)),
        }
    });
    Outcome::new(measurement, MILLION as u64, bytes.count(round))
}

/// The small graph as calls and one `join`, from inside the pool or sent to it each time.
fn launch(sampler: &Sampler, pool: Option<&ThreadPool>) -> Outcome {
    let counters: [Counter; LAUNCH_NODES] = Default::default();
    let graph = || {
        counters[0].add();
        rayon::join(|| counters[1].add(), || counters[2].add());
        counters[3].add();
    };
    let measurement = sampler.time(|| match pool {
        Some(pool) => pool.install(graph),
        None => graph(),
    });
    let ran = count_runs(counters.iter(), measurement.runs);
    Outcome::new(measurement, 1, ran)
}

fn nqueens(board: Board) -> u64 {
    if board.is_full() {
        return 1;
    }
    let sums: [AtomicU64; QUEENS as usize] = Default::default();
    rayon::scope(|scope| {
        for (child, sum) in board.children().zip(&sums) {
            scope.spawn(move |_| sum.store(nqueens(child), Ordering::Relaxed));
        }
    });
    sums.iter().map(|sum| sum.load(Ordering::Relaxed)).sum()
}
