//! One module per library; each turns a workload's name into a measurement.

mod bevy;
mod flecs;
mod hecs;
mod legion;
mod shipyard;

use crate::sampler::{Measurement, Sampler};

/// Runs a workload, or tells that the library has none of that name.
type Run = fn(&str, &Sampler) -> Option<Measurement>;

const CONTENDERS: [(&str, &[&str], Run); 5] = [
    ("bevy", bevy::WORKLOADS, bevy::run),
    ("flecs", flecs::WORKLOADS, flecs::run),
    ("hecs", hecs::WORKLOADS, hecs::run),
    ("legion", legion::WORKLOADS, legion::run),
    ("shipyard", shipyard::WORKLOADS, shipyard::run),
];

/// Every (library, workload) pair.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    CONTENDERS
        .iter()
        .flat_map(|(peer, workloads, _)| workloads.iter().map(|workload| (*peer, *workload)))
}

/// Runs one pair.
pub fn run(peer: &str, workload: &str, sampler: &Sampler) -> Option<Measurement> {
    let (_, workloads, run) = CONTENDERS.iter().find(|(name, ..)| *name == peer)?;
    workloads
        .contains(&workload)
        .then(|| run(workload, sampler))?
}

/// Threads that parallel workloads use: all that this process may run on.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The number at the end of a name such as `empty_systems_100`.
fn count_of(workload: &str) -> usize {
    let digits = workload.rsplit('_').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}
