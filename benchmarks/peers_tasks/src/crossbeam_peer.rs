//! crossbeam-deque: the deque below rayon, alone on one thread.
//!
//! A last-in-first-out worker's push and pop, and a thief's steal of one item. Both go over batches
//! of `BATCH` items, so that a reading of the clock is lost in them.

use std::hint::black_box;
use std::time::Duration;

use crossbeam_deque::{Steal, Worker};

use crate::Outcome;
use crate::sampler::Sampler;

pub const WORKLOADS: &[&str] = &["deque_push_pop", "deque_steal"];

/// Items pushed before the first is taken.
const BATCH: usize = 1_024;

pub fn run(workload: &str, sampler: &Sampler) -> Option<Outcome> {
    Some(match workload {
        "deque_push_pop" => push_pop(sampler),
        "deque_steal" => steal(sampler),
        _ => return None,
    })
}

fn push_pop(sampler: &Sampler) -> Outcome {
    let worker: Worker<usize> = Worker::new_lifo();
    let mut sum = 0;
    let measurement = sampler.time(|| {
        sum = 0;
        for item in 0..BATCH {
            worker.push(black_box(item));
        }
        while let Some(item) = worker.pop() {
            sum += item;
        }
    });
    Outcome::new(measurement, BATCH as u64, sum as u64)
}

/// Filling the deque is not counted.
fn steal(sampler: &Sampler) -> Outcome {
    let worker: Worker<usize> = Worker::new_lifo();
    let stealer = worker.stealer();
    let mut sum = 0;
    let sampler = Sampler {
        samples: sampler.samples,
        minimum: sampler.minimum.max(Duration::from_millis(1)),
    };
    let measurement = sampler.time_with_setup(
        || {
            for item in 0..BATCH {
                worker.push(black_box(item));
            }
        },
        |()| {
            sum = 0;
            loop {
                match stealer.steal() {
                    Steal::Success(item) => sum += item,
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        },
    );
    Outcome::new(measurement, BATCH as u64, sum as u64)
}
