//! shipyard: sparse sets, borrowed views, workloads on rayon.
//!
//! Adding and removing goes through borrowed views (`EntitiesView::add_component`, `Remove`), which
//! skip the lookup of storages that `World::add_component` does per call; `bulk_add_entity` fills
//! whole columns. `add_remove_all` empties the storage with `clear`, which drops the component from
//! every entity of the world.

use std::hint::black_box;

use ::shipyard::{Delete, EntitiesView, EntityId, IntoIter, View, ViewMut, Workload, World};
use rayon::ThreadPoolBuilder;
use rayon::iter::ParallelIterator;

use super::{count_of, threads};
use crate::components::*;
use crate::sampler::{Measurement, Sampler};

pub const WORKLOADS: &[&str] = &[
    "new_world",
    "simple_insert",
    "simple_iter",
    "fragmented_iter",
    "add_remove",
    "add_remove_all",
    "heavy_compute",
    "schedule_single",
    "schedule_multi",
    "empty_systems_10",
    "empty_systems_100",
    "empty_systems_1000",
    "empty_systems_multi_1000",
];

pub fn run(workload: &str, sampler: &Sampler) -> Option<Measurement> {
    Some(match workload {
        "new_world" => sampler.time(|| {
            black_box(World::new());
        }),
        "simple_insert" => simple_insert(sampler),
        "simple_iter" => simple_iter(sampler),
        "fragmented_iter" => fragmented_iter(sampler),
        "add_remove" => add_remove(sampler),
        "add_remove_all" => add_remove_all(sampler),
        "heavy_compute" => heavy_compute(sampler),
        "schedule_single" => schedule(sampler, 1),
        "schedule_multi" => schedule(sampler, threads()),
        "empty_systems_multi_1000" => empty_systems(sampler, count_of(workload), threads()),
        _ => empty_systems(sampler, count_of(workload), 1),
    })
}

fn simple_world(count: usize) -> World {
    let entity = black_box(simple_entity());
    let mut world = World::new();
    world.bulk_add_entity((0..count).map(|_| entity));
    world
}

fn simple_insert(sampler: &Sampler) -> Measurement {
    sampler.time(|| {
        black_box(simple_world(ENTITIES));
    })
}

fn simple_iter(sampler: &Sampler) -> Measurement {
    let world = simple_world(ENTITIES);
    sampler.time(|| {
        world.run(
            |mut positions: ViewMut<Position>, velocities: View<Velocity>| {
                (&mut positions, &velocities)
                    .iter()
                    .for_each(|(position, velocity)| advance_one(position, velocity));
            },
        );
        black_box(&world);
    })
}

fn fragmented_iter(sampler: &Sampler) -> Measurement {
    macro_rules! add_fragments {
        ($world:expr, $($letter:ident)*) => {$(
            $world.bulk_add_entity((0..ENTITIES_PER_FRAGMENT).map(|_| ($letter(0.0), Data(1.0))));
        )*};
    }
    let mut world = World::new();
    with_letters!(add_fragments, world);
    sampler.time(|| {
        world.run(|mut data: ViewMut<Data>| {
            (&mut data).iter().for_each(|data| data.0 *= 2.0);
        });
        black_box(&world);
    })
}

fn world_of_a() -> (World, Vec<EntityId>) {
    let mut world = World::new();
    let entities = world
        .bulk_add_entity((0..ENTITIES).map(|_| (A(0.0),)))
        .collect();
    (world, entities)
}

fn add_remove(sampler: &Sampler) -> Measurement {
    let (world, ids) = world_of_a();
    sampler.time(|| {
        world.run(|entities: EntitiesView, mut column: ViewMut<B>| {
            for &id in &ids {
                entities.add_component(id, &mut column, B(0.0));
            }
        });
        world.run(|mut column: ViewMut<B>| {
            for &id in &ids {
                column.delete(id);
            }
        });
    })
}

fn add_remove_all(sampler: &Sampler) -> Measurement {
    let (world, ids) = world_of_a();
    sampler.time(|| {
        world.run(|entities: EntitiesView, mut column: ViewMut<B>| {
            for &id in &ids {
                entities.add_component(id, &mut column, B(0.0));
            }
        });
        world.run(|mut column: ViewMut<B>| column.clear());
    })
}

fn heavy_compute(sampler: &Sampler) -> Measurement {
    let world = simple_world(HEAVY_ENTITIES);
    let measurement = sampler.time(|| {
        world.run(
            |mut positions: ViewMut<Position>, mut transforms: ViewMut<Transform>| {
                (&mut positions, &mut transforms)
                    .par_iter()
                    .for_each(|(position, transform)| invert_and_turn(transform, position));
            },
        );
        black_box(&world);
    });
    let intact = world.run(|transforms: View<Transform>| count_intact(transforms.iter()));
    measurement.with_checksum(intact)
}

fn swap_ab(mut left: ViewMut<A>, mut right: ViewMut<B>) {
    let pairs = (&mut left, &mut right).iter();
    pairs.for_each(|(left, right)| swap_one(left, right));
}

fn swap_cd(mut left: ViewMut<C>, mut right: ViewMut<D>) {
    let pairs = (&mut left, &mut right).iter();
    pairs.for_each(|(left, right)| swap_one(left, right));
}

fn swap_ce(mut left: ViewMut<C>, mut right: ViewMut<E>) {
    let pairs = (&mut left, &mut right).iter();
    pairs.for_each(|(left, right)| swap_one(left, right));
}

fn schedule(sampler: &Sampler, thread_count: usize) -> Measurement {
    let mut world = World::new();
    world.bulk_add_entity((0..ENTITIES).map(|_| (A(0.0), B(1.0))));
    world.bulk_add_entity((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0))));
    world.bulk_add_entity((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), D(3.0))));
    world.bulk_add_entity((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), E(4.0))));
    let workload = Workload::new("frame")
        .with_system(swap_ab)
        .with_system(swap_cd)
        .with_system(swap_ce);
    let measurement = time_frames(sampler, &world, workload, thread_count);
    let runs = measurement.runs;
    let swapped =
        world.run(|column: View<A>| count_swapped(column.iter().map(|a| a.0), runs, 0.0, 1.0));
    measurement.with_checksum(swapped)
}

fn empty_systems(sampler: &Sampler, count: usize, thread_count: usize) -> Measurement {
    let world = World::new();
    let mut workload = Workload::new("frame");
    for _ in 0..count {
        workload = workload.with_system(|| ());
    }
    time_frames(sampler, &world, workload, thread_count)
}

fn time_frames(
    sampler: &Sampler,
    world: &World,
    workload: Workload,
    thread_count: usize,
) -> Measurement {
    let pool = ThreadPoolBuilder::new()
        .num_threads(thread_count)
        .build()
        .expect("a thread pool");
    let (scheduled, _) = workload.build().expect("a workload");
    // Inside the pool from the start, so that no frame pays for entering it.
    pool.install(|| sampler.time(|| scheduled.run_with_world(world).expect("a frame")))
}
