//! Runs one named workload on one scheduler and prints its timings as one JSON object.
//!
//! `peers_tasks list` prints every pair; `peers_tasks PEER WORKLOAD [SAMPLES] [MINIMUM_MS]` runs
//! one. What a workload is, and what it does to show that it ran, stands in `work.rs`.

mod crossbeam_peer;
mod rayon_peer;
#[path = "../../peers/src/sampler.rs"]
mod sampler;
mod tokio_peer;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use sampler::{Measurement, Sampler};

/// A measurement of `units` tasks per iteration, with the number that shows the work was done.
pub struct Outcome {
    measurement: Measurement,
    units: u64,
}

impl Outcome {
    /// Puts the three together.
    pub fn new(measurement: Measurement, units: u64, checksum: u64) -> Self {
        Self {
            measurement: measurement.with_checksum(checksum),
            units,
        }
    }
}

type Run = fn(&str, &Sampler) -> Option<Outcome>;

const PEERS: [(&str, &[&str], Run); 3] = [
    ("crossbeam", crossbeam_peer::WORKLOADS, crossbeam_peer::run),
    ("rayon", rayon_peer::WORKLOADS, rayon_peer::run),
    ("tokio", tokio_peer::WORKLOADS, tokio_peer::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for (peer, workloads, _) in PEERS {
                workloads
                    .iter()
                    .for_each(|workload| println!("{peer} {workload}"));
            }
            ExitCode::SUCCESS
        }
        [peer, workload, rest @ ..] if rest.len() <= 2 => run(peer, workload, rest),
        _ => fail("usage: peers_tasks list | peers_tasks PEER WORKLOAD [SAMPLES] [MINIMUM_MS]"),
    }
}

fn run(peer: &str, workload: &str, rest: &[&str]) -> ExitCode {
    let numbers: Result<Vec<u64>, _> = rest.iter().map(|word| word.parse()).collect();
    let Ok(numbers) = numbers else {
        return fail("SAMPLES and MINIMUM_MS are whole numbers");
    };
    let sampler = Sampler {
        samples: numbers.first().map_or(20, |&count| count.max(1) as usize),
        minimum: Duration::from_millis(numbers.get(1).copied().unwrap_or(5)),
    };
    let found = PEERS.iter().find(|(name, ..)| *name == peer);
    let Some(outcome) = found.and_then(|(_, _, run)| run(workload, &sampler)) else {
        return fail(&format!(
            "{peer} has no workload {workload}; see `peers_tasks list`"
        ));
    };
    let seconds: Vec<String> = outcome
        .measurement
        .seconds
        .iter()
        .map(|seconds| format!("{:.9e}", seconds / outcome.units as f64))
        .collect();
    println!(
        "{{\"peer\": \"{peer}\", \"workload\": \"{workload}\", \"seconds\": [{}], \
         \"inner\": {}, \"checksum\": {}}}",
        seconds.join(", "),
        outcome.measurement.inner,
        outcome.measurement.checksum.unwrap_or_default()
    );
    ExitCode::SUCCESS
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}
