//! hecs: whole columns in (`spawn_column_batch`), `query_mut`, one archetype move per component
//! added or removed.
//!
//! Columns are about three times as fast as `spawn_batch`. Internal iteration of a query
//! (`for_each`) is as fast as slices of `Archetype::get`, which were tried too.

//! hecs has no scheduler: its schedule workload is the three queries one after the other. It has no
//! parallel iteration of its own either: rayon works on batches of its query, as `ecs_bench_suite`
//! does.

use std::hint::black_box;

use ::hecs::{ColumnBatchBuilder, ColumnBatchType, Entity, PreparedQuery, World};
use rayon::iter::{ParallelBridge, ParallelIterator};

use crate::components::*;
use crate::sampler::{Measurement, Sampler};

pub const WORKLOADS: &[&str] = &[
    "new_world",
    "simple_insert",
    "simple_iter",
    "fragmented_iter",
    "add_remove",
    "heavy_compute",
    "schedule_single",
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
        "heavy_compute" => heavy_compute(sampler),
        "schedule_single" => schedule(sampler),
        _ => return None,
    })
}

/// Writes one whole column of a batch.
fn fill<T: ::hecs::Component + Copy>(builder: &ColumnBatchBuilder, value: T) {
    let mut writer = builder.writer::<T>().expect("a column of this type");
    for _ in 0..ENTITIES {
        let _ = writer.push(value);
    }
}

fn simple_insert(sampler: &Sampler) -> Measurement {
    let entity = simple_entity();
    let mut types = ColumnBatchType::new();
    types
        .add::<Transform>()
        .add::<Position>()
        .add::<Rotation>()
        .add::<Velocity>();
    sampler.time(|| {
        let (transform, position, rotation, velocity) = black_box(entity);
        let mut world = World::new();
        let builder = types.clone().into_batch(ENTITIES as u32);
        fill(&builder, transform);
        fill(&builder, position);
        fill(&builder, rotation);
        fill(&builder, velocity);
        let Ok(batch) = builder.build() else {
            unreachable!("every column is full");
        };
        world.spawn_column_batch(batch);
        black_box(&world);
    })
}

fn simple_world(count: usize) -> World {
    let mut world = World::new();
    world.spawn_batch((0..count).map(|_| simple_entity()));
    world
}

fn simple_iter(sampler: &Sampler) -> Measurement {
    let mut world = simple_world(ENTITIES);
    sampler.time(|| {
        world
            .query_mut::<(&mut Position, &Velocity)>()
            .into_iter()
            .for_each(|(position, velocity)| advance_one(position, velocity));
        black_box(&mut world);
    })
}

fn fragmented_iter(sampler: &Sampler) -> Measurement {
    macro_rules! spawn_fragments {
        ($world:expr, $($letter:ident)*) => {$(
            $world.spawn_batch((0..ENTITIES_PER_FRAGMENT).map(|_| ($letter(0.0), Data(1.0))));
        )*};
    }
    let mut world = World::new();
    with_letters!(spawn_fragments, world);
    let mut query = PreparedQuery::<&mut Data>::new();
    sampler.time(|| {
        query.query_mut(&mut world).for_each(|data| data.0 *= 2.0);
        black_box(&mut world);
    })
}

fn add_remove(sampler: &Sampler) -> Measurement {
    let mut world = World::new();
    let entities: Vec<Entity> = world
        .spawn_batch((0..ENTITIES).map(|_| (A(0.0),)))
        .collect();
    sampler.time(|| {
        for &entity in &entities {
            world.insert_one(entity, B(0.0)).unwrap();
        }
        for &entity in &entities {
            let _ = world.remove_one::<B>(entity).unwrap();
        }
    })
}

fn heavy_compute(sampler: &Sampler) -> Measurement {
    let mut world = simple_world(HEAVY_ENTITIES);
    let measurement = sampler.time(|| {
        world
            .query_mut::<(&mut Position, &mut Transform)>()
            .into_iter_batched(64)
            .par_bridge()
            .for_each(|batch| {
                for (position, transform) in batch {
                    invert_and_turn(transform, position);
                }
            });
        black_box(&mut world);
    });
    let intact = count_intact(world.query_mut::<&Transform>().into_iter());
    measurement.with_checksum(intact)
}

fn schedule(sampler: &Sampler) -> Measurement {
    let mut world = World::new();
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0))));
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0))));
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), D(3.0))));
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), E(4.0))));
    let measurement = sampler.time(|| {
        let pairs = world.query_mut::<(&mut A, &mut B)>();
        pairs.into_iter().for_each(|(a, b)| swap_one(a, b));
        let pairs = world.query_mut::<(&mut C, &mut D)>();
        pairs.into_iter().for_each(|(c, d)| swap_one(c, d));
        let pairs = world.query_mut::<(&mut C, &mut E)>();
        pairs.into_iter().for_each(|(c, e)| swap_one(c, e));
        black_box(&mut world);
    });
    let runs = measurement.runs;
    let column = world.query_mut::<&A>().into_iter().map(|a| a.0);
    let swapped = count_swapped(column, runs, 0.0, 1.0);
    measurement.with_checksum(swapped)
}
