//! legion: `extend` from columns, chunk slices for iteration, its own schedule on a rayon pool.
//!
//! `extend` takes ready columns (`into_soa`), legion's fastest way in; `for_each_chunk_mut` hands
//! out slices. legion has no bulk add or remove: entries are changed one by one.

use std::hint::black_box;

use ::legion::systems::{Builder, ParallelRunnable};
use ::legion::{
    Entity, IntoQuery, IntoSoa, Read, Resources, Schedule, SystemBuilder, World, Write,
};
use rayon::ThreadPoolBuilder;

use super::{count_of, threads};
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
    "schedule_multi",
    "empty_systems_10",
    "empty_systems_100",
    "empty_systems_1000",
    "empty_systems_multi_1000",
];

pub fn run(workload: &str, sampler: &Sampler) -> Option<Measurement> {
    Some(match workload {
        "new_world" => sampler.time(|| {
            black_box(World::default());
        }),
        "simple_insert" => simple_insert(sampler),
        "simple_iter" => simple_iter(sampler),
        "fragmented_iter" => fragmented_iter(sampler),
        "add_remove" => add_remove(sampler),
        "heavy_compute" => heavy_compute(sampler),
        "schedule_single" => schedule(sampler, 1),
        "schedule_multi" => schedule(sampler, threads()),
        "empty_systems_multi_1000" => empty_systems(sampler, count_of(workload), threads()),
        _ => empty_systems(sampler, count_of(workload), 1),
    })
}

fn extend_simple(world: &mut World, count: usize) {
    let (transform, position, rotation, velocity) = black_box(simple_entity());
    world.extend(
        (
            vec![transform; count],
            vec![position; count],
            vec![rotation; count],
            vec![velocity; count],
        )
            .into_soa(),
    );
}

fn simple_insert(sampler: &Sampler) -> Measurement {
    sampler.time(|| {
        let mut world = World::default();
        extend_simple(&mut world, ENTITIES);
        black_box(&world);
    })
}

fn simple_iter(sampler: &Sampler) -> Measurement {
    let mut world = World::default();
    extend_simple(&mut world, ENTITIES);
    let mut query = <(Write<Position>, Read<Velocity>)>::query();
    sampler.time(|| {
        query.for_each_chunk_mut(&mut world, |chunk| {
            let (positions, velocities) = chunk.into_components();
            advance(positions, velocities);
        });
        black_box(&mut world);
    })
}

fn fragmented_iter(sampler: &Sampler) -> Measurement {
    macro_rules! extend_fragments {
        ($world:expr, $($letter:ident)*) => {$(
            $world.extend((0..ENTITIES_PER_FRAGMENT).map(|_| ($letter(0.0), Data(1.0))));
        )*};
    }
    let mut world = World::default();
    with_letters!(extend_fragments, world);
    let mut query = <Write<Data>>::query();
    sampler.time(|| {
        query.for_each_chunk_mut(&mut world, |chunk| double(chunk.into_components()));
        black_box(&mut world);
    })
}

fn add_remove(sampler: &Sampler) -> Measurement {
    let mut world = World::default();
    let entities: Vec<Entity> = world.extend((0..ENTITIES).map(|_| (A(0.0),))).to_vec();
    sampler.time(|| {
        for &entity in &entities {
            world.entry(entity).expect("alive").add_component(B(0.0));
        }
        for &entity in &entities {
            world.entry(entity).expect("alive").remove_component::<B>();
        }
    })
}

fn heavy_compute(sampler: &Sampler) -> Measurement {
    let mut world = World::default();
    extend_simple(&mut world, HEAVY_ENTITIES);
    let mut query = <(Write<Position>, Write<Transform>)>::query();
    let measurement = sampler.time(|| {
        query.par_for_each_mut(&mut world, |(position, transform)| {
            invert_and_turn(transform, position);
        });
        black_box(&mut world);
    });
    let intact = count_intact(<Read<Transform>>::query().iter(&world));
    measurement.with_checksum(intact)
}

macro_rules! swap_system {
    ($name:literal, $left:ty, $right:ty) => {
        SystemBuilder::new($name)
            .with_query(<(Write<$left>, Write<$right>)>::query())
            .build(|_, world, (), query| {
                query.for_each_chunk_mut(world, |chunk| {
                    let (left, right) = chunk.into_components();
                    swap_columns(left, right);
                });
            })
    };
}

fn schedule(sampler: &Sampler, thread_count: usize) -> Measurement {
    let build = || {
        let mut world = World::default();
        world.extend((0..ENTITIES).map(|_| (A(0.0), B(1.0))));
        world.extend((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0))));
        world.extend((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), D(3.0))));
        world.extend((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), E(4.0))));
        let schedule = Schedule::builder()
            .add_system(swap_system!("ab", A, B))
            .add_system(swap_system!("cd", C, D))
            .add_system(swap_system!("ce", C, E))
            .build();
        (world, schedule)
    };
    let (measurement, world) = time_frames(sampler, thread_count, build);
    let runs = measurement.runs;
    let mut query = <Read<A>>::query();
    let swapped = count_swapped(query.iter(&world).map(|a| a.0), runs, 0.0, 1.0);
    measurement.with_checksum(swapped)
}

fn empty_system(index: usize) -> impl ParallelRunnable {
    SystemBuilder::new(format!("empty{index}")).build(|_, _, (), ()| ())
}

fn empty_systems(sampler: &Sampler, count: usize, thread_count: usize) -> Measurement {
    let build = || {
        let mut builder = Builder::default();
        for index in 0..count {
            builder.add_system(empty_system(index));
        }
        (World::default(), builder.build())
    };
    time_frames(sampler, thread_count, build).0
}

/// Times frames from inside the pool, so that no frame pays for entering it. A schedule may not
/// change threads, so it is built there as well.
fn time_frames(
    sampler: &Sampler,
    thread_count: usize,
    build: impl FnOnce() -> (World, Schedule) + Send,
) -> (Measurement, World) {
    let pool = ThreadPoolBuilder::new()
        .num_threads(thread_count)
        .build()
        .expect("a thread pool");
    pool.install(|| {
        let (mut world, mut schedule) = build();
        let mut resources = Resources::default();
        let measurement = sampler.time(|| schedule.execute(&mut world, &mut resources));
        (measurement, world)
    })
}
