//! Runs one named workload on one named library and prints its timings as one JSON object.
//!
//! `peers list` prints every pair; `peers PEER WORKLOAD [SAMPLES] [MINIMUM_MS]` runs one.

mod components;
mod contenders;
mod sampler;

use std::process::ExitCode;
use std::time::Duration;

use sampler::Sampler;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for (peer, workload) in contenders::all() {
                println!("{peer} {workload}");
            }
            ExitCode::SUCCESS
        }
        [peer, workload, rest @ ..] if rest.len() <= 2 => run(peer, workload, rest),
        _ => fail("usage: peers list | peers PEER WORKLOAD [SAMPLES] [MINIMUM_MS]"),
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
    let Some(measurement) = contenders::run(peer, workload, &sampler) else {
        return fail(&format!(
            "{peer} has no workload {workload}; see `peers list`"
        ));
    };
    let report = serde_json::json!({
        "peer": peer,
        "workload": workload,
        "seconds": measurement.seconds,
        "inner": measurement.inner,
        "checksum": measurement.checksum,
    });
    println!("{report}");
    ExitCode::SUCCESS
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}
