//! bevy_ecs: batched spawns and inserts, contiguous iteration, both executors.
//!
//! Queries hand out whole columns (`contiguous_iter_mut`) and skip change ticks
//! (`bypass_change_detection`), bevy's fastest documented iteration. `insert_batch` adds in bulk;
//! there is no bulk removal, so removal goes entity by entity. A built schedule includes the
//! conflict sets of the multi-threaded executor, bevy's default.

use std::hint::black_box;

use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{MultiThreadedExecutor, ScheduleLabel, SingleThreadedExecutor};
use bevy_tasks::{ComputeTaskPool, TaskPoolBuilder};

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
    "heavy_compute_single",
    "schedule_single",
    "schedule_multi",
    "schedule_parallel",
    "empty_systems_10",
    "empty_systems_100",
    "empty_systems_1000",
    "empty_systems_multi_10",
    "empty_systems_multi_100",
    "empty_systems_multi_1000",
    "plan_free_100",
    "plan_free_500",
    "plan_free_1000",
    "plan_total_100",
    "plan_total_500",
    "plan_total_1000",
];

pub fn run(workload: &str, sampler: &Sampler) -> Option<Measurement> {
    ComputeTaskPool::get_or_init(|| TaskPoolBuilder::new().num_threads(threads()).build());
    let count = count_of(workload);
    Some(match workload {
        "new_world" => sampler.time(|| {
            black_box(World::new());
        }),
        "simple_insert" => simple_insert(sampler),
        "simple_iter" => simple_iter(sampler),
        "fragmented_iter" => fragmented_iter(sampler),
        "add_remove" => add_remove(sampler),
        "heavy_compute" => heavy_compute(sampler, true),
        "heavy_compute_single" => heavy_compute(sampler, false),
        "schedule_single" => schedule(sampler, single_threaded(), false),
        "schedule_multi" => schedule(sampler, multi_threaded(), false),
        "schedule_parallel" => schedule(sampler, multi_threaded(), true),
        name if name.starts_with("empty_systems_multi") => {
            empty_systems(sampler, count, multi_threaded())
        }
        name if name.starts_with("empty_systems") => {
            empty_systems(sampler, count, single_threaded())
        }
        name if name.starts_with("plan_free") => plan(sampler, || free_schedule(count)),
        name if name.starts_with("plan_total") => plan(sampler, || ordered_schedule(count)),
        _ => return None,
    })
}

#[derive(ScheduleLabel, Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Frame;

#[derive(SystemSet, Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Place(usize);

fn single_threaded() -> Schedule {
    let mut schedule = Schedule::new(Frame);
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule
}

fn multi_threaded() -> Schedule {
    let mut schedule = Schedule::new(Frame);
    schedule.set_executor(MultiThreadedExecutor::new());
    schedule
}

fn simple_world(count: usize) -> World {
    let entity = black_box(simple_entity());
    let mut world = World::new();
    world.spawn_batch((0..count).map(|_| entity));
    world
}

fn simple_insert(sampler: &Sampler) -> Measurement {
    sampler.time(|| {
        black_box(simple_world(ENTITIES));
    })
}

fn simple_iter(sampler: &Sampler) -> Measurement {
    let mut world = simple_world(ENTITIES);
    let mut query = world.query::<(&mut Position, &Velocity)>();
    sampler.time(|| {
        for (mut positions, velocities) in query.contiguous_iter_mut(&mut world).expect("tables") {
            advance(positions.bypass_change_detection(), velocities);
        }
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
    let mut query = world.query::<&mut Data>();
    sampler.time(|| {
        for mut column in query.contiguous_iter_mut(&mut world).expect("tables") {
            double(column.bypass_change_detection());
        }
        black_box(&mut world);
    })
}

fn add_remove(sampler: &Sampler) -> Measurement {
    let mut world = World::new();
    let entities: Vec<Entity> = world.spawn_batch((0..ENTITIES).map(|_| A(0.0))).collect();
    sampler.time(|| {
        world.insert_batch(entities.iter().map(|&entity| (entity, B(0.0))));
        for &entity in &entities {
            world.entity_mut(entity).remove::<B>();
        }
    })
}

fn heavy_compute(sampler: &Sampler, parallel: bool) -> Measurement {
    let mut world = simple_world(HEAVY_ENTITIES);
    let mut query = world.query::<(&mut Position, &mut Transform)>();
    let compute = |(mut position, mut transform): (Mut<Position>, Mut<Transform>)| {
        invert_and_turn(&mut transform, &mut position);
    };
    let measurement = sampler.time(|| {
        if parallel {
            query.par_iter_mut(&mut world).for_each(compute);
        } else {
            query.iter_mut(&mut world).for_each(compute);
        }
        black_box(&mut world);
    });
    let intact = count_intact(world.query::<&Transform>().iter(&world));
    measurement.with_checksum(intact)
}

fn swap<Left, Right>(mut query: Query<(&mut Left, &mut Right)>)
where
    Left: Scalar + Component<Mutability = bevy_ecs::component::Mutable>,
    Right: Scalar + Component<Mutability = bevy_ecs::component::Mutable>,
{
    for (mut left, mut right) in query.contiguous_iter_mut().expect("tables") {
        swap_columns(
            left.bypass_change_detection(),
            right.bypass_change_detection(),
        );
    }
}

/// The same with the rows of one query divided among the threads.
fn swap_parallel<Left, Right>(mut query: Query<(&mut Left, &mut Right)>)
where
    Left: Scalar + Component<Mutability = bevy_ecs::component::Mutable>,
    Right: Scalar + Component<Mutability = bevy_ecs::component::Mutable>,
{
    query.par_iter_mut().for_each(|(mut left, mut right)| {
        swap_one(
            left.bypass_change_detection(),
            right.bypass_change_detection(),
        );
    });
}

fn schedule(sampler: &Sampler, mut schedule: Schedule, parallel: bool) -> Measurement {
    let mut world = World::new();
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0))));
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0))));
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), D(3.0))));
    world.spawn_batch((0..ENTITIES).map(|_| (A(0.0), B(1.0), C(2.0), E(4.0))));
    if parallel {
        schedule.add_systems((
            swap_parallel::<A, B>,
            swap_parallel::<C, D>,
            swap_parallel::<C, E>,
        ));
    } else {
        schedule.add_systems((swap::<A, B>, swap::<C, D>, swap::<C, E>));
    }
    let measurement = sampler.time(|| schedule.run(&mut world));
    let runs = measurement.runs;
    let mut query = world.query::<&A>();
    let swapped = count_swapped(query.iter(&world).map(|a| a.0), runs, 0.0, 1.0);
    measurement.with_checksum(swapped)
}

fn empty() {}

fn empty_systems(sampler: &Sampler, count: usize, mut schedule: Schedule) -> Measurement {
    let mut world = World::new();
    for _ in 0..count {
        schedule.add_systems(empty);
    }
    sampler.time(|| schedule.run(&mut world))
}

fn free_schedule(count: usize) -> Schedule {
    let mut schedule = multi_threaded();
    for _ in 0..count {
        schedule.add_systems(empty);
    }
    schedule
}

/// Every system in a set of its own, each set before all later ones: a total order, said pair by
/// pair.
fn ordered_schedule(count: usize) -> Schedule {
    let mut schedule = multi_threaded();
    for index in 0..count {
        let mut system = empty.in_set(Place(index));
        for later in index + 1..count {
            system = system.before(Place(later));
        }
        schedule.add_systems(system);
    }
    schedule
}

fn plan(sampler: &Sampler, build: impl Fn() -> Schedule) -> Measurement {
    sampler.time_with_setup(World::new, |world| {
        let mut schedule = build();
        schedule.initialize(world).expect("a schedule");
        schedule
    })
}
