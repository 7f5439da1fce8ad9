//! flecs through its C interface, which has no wrapper between the caller and the library.
//!
//! Entities come in through `ecs_bulk_init` from ready columns, queries are cached
//! (`EcsQueryCacheAuto`) and read by column (`ecs_field_w_size`), structural changes are
//! `ecs_add_id` and `ecs_remove_id`. `add_remove_all` takes the component from every entity of the
//! world with `ecs_remove_all`. A world without a schedule is `ecs_mini`, the smaller of the two
//! that flecs offers.

use std::hint::black_box;
use std::mem::{size_of, size_of_val, zeroed};
use std::ptr::null_mut;

use flecs_ecs_sys as sys;

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
    "add_remove_commit",
    "heavy_compute",
    "heavy_compute_single",
    "schedule_single",
    "schedule_multi",
    "empty_systems_10",
    "empty_systems_100",
    "empty_systems_1000",
    "empty_systems_callback_1000",
    "empty_systems_multi_1000",
];

/// The time step of a frame: given, so that flecs need not read the clock for it.
const STEP: f32 = 1.0 / 60.0;

type System = unsafe extern "C-unwind" fn(*mut sys::ecs_iter_t);

pub fn run(workload: &str, sampler: &Sampler) -> Option<Measurement> {
    let count = count_of(workload);
    Some(match workload {
        "new_world" => sampler.time(|| {
            black_box(World::mini());
        }),
        "simple_insert" => simple_insert(sampler),
        "simple_iter" => simple_iter(sampler),
        "fragmented_iter" => fragmented_iter(sampler),
        "add_remove" => add_remove(sampler),
        "add_remove_all" => add_remove_all(sampler),
        "add_remove_commit" => add_remove_commit(sampler),
        "heavy_compute" => heavy_compute(sampler, threads()),
        "heavy_compute_single" => heavy_compute(sampler, 1),
        "schedule_single" => schedule(sampler, 1),
        "schedule_multi" => schedule(sampler, threads()),
        "empty_systems_multi_1000" => empty_systems(sampler, count, threads(), true),
        "empty_systems_callback_1000" => empty_systems(sampler, count, 1, false),
        _ => empty_systems(sampler, count, 1, true),
    })
}

/// A flecs world; the library keeps no other handle to it.
struct World(*mut sys::ecs_world_t);

impl World {
    fn mini() -> Self {
        // SAFETY: makes a new world; no argument.
        Self(unsafe { sys::ecs_mini() })
    }

    /// A world that can run systems: nothing but the pipeline is imported, so that a frame runs our
    /// systems only.
    fn with_pipeline() -> Self {
        let world = Self::mini();
        // SAFETY: the name is the module's own and ends in a zero.
        unsafe {
            let module = Some(sys::FlecsPipelineImport as unsafe extern "C-unwind" fn(_));
            sys::ecs_import(world.0, module, c"FlecsPipeline".as_ptr());
        }
        world
    }

    fn component<T>(&self) -> sys::ecs_id_t {
        // SAFETY: a zeroed description is flecs's documented default; size and alignment are those
        // of `T`, which is plain data.
        unsafe {
            let mut description: sys::ecs_component_desc_t = zeroed();
            description.type_.size = size_of::<T>() as i32;
            description.type_.alignment = align_of::<T>() as i32;
            sys::ecs_component_init(self.0, &description)
        }
    }

    /// Spawns entities with these components; each column holds one value per entity.
    fn bulk(
        &self,
        count: usize,
        columns: &mut [(sys::ecs_id_t, *mut std::ffi::c_void)],
    ) -> *const sys::ecs_entity_t {
        // SAFETY: `data` outlives the call, and each column holds `count` values of its component.
        unsafe {
            let mut description: sys::ecs_bulk_desc_t = zeroed();
            let mut data = [null_mut(); 8];
            description.count = count as i32;
            for (index, (id, column)) in columns.iter().enumerate() {
                description.ids[index] = *id;
                data[index] = *column;
            }
            description.data = data.as_mut_ptr();
            sys::ecs_bulk_init(self.0, &description)
        }
    }

    fn query(&self, ids: &[(sys::ecs_id_t, i16)]) -> *mut sys::ecs_query_t {
        // SAFETY: a zeroed description is the documented default.
        unsafe {
            let mut description: sys::ecs_query_desc_t = zeroed();
            fill_terms(&mut description, ids);
            sys::ecs_query_init(self.0, &description)
        }
    }

    fn system(
        &self,
        ids: &[(sys::ecs_id_t, i16)],
        multi_threaded: bool,
        configure: impl FnOnce(&mut sys::ecs_system_desc_t),
    ) {
        // SAFETY: as for `query`; the entity is fresh and gets the phase that orders the system.
        unsafe {
            let mut description: sys::ecs_system_desc_t = zeroed();
            let entity = sys::ecs_new(self.0);
            let depends = sys::ecs_make_pair(sys::EcsDependsOn, sys::EcsOnUpdate);
            sys::ecs_add_id(self.0, entity, depends);
            sys::ecs_add_id(self.0, entity, sys::EcsOnUpdate);
            description.entity = entity;
            description.multi_threaded = multi_threaded;
            fill_terms(&mut description.query, ids);
            configure(&mut description);
            sys::ecs_system_init(self.0, &description);
        }
    }

    /// What a function makes of each table's column of a component, added up.
    fn sum_columns<T>(&self, id: sys::ecs_id_t, visit: impl Fn(&[T]) -> u64) -> u64 {
        let query = self.query(&[(id, INOUT)]);
        let mut sum = 0;
        // SAFETY: the caller vouches that `id` is a component of `T`; no frame is running.
        unsafe {
            let mut iterator = sys::ecs_query_iter(self.0, query);
            while sys::ecs_query_next(&mut iterator) {
                sum += visit(column(&mut iterator, 0));
            }
        }
        sum
    }

    fn progress(&self) {
        // SAFETY: the world is alive.
        unsafe { sys::ecs_progress(self.0, STEP) };
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: the world is alive and nothing refers to it any more.
        unsafe { sys::ecs_fini(self.0) };
    }
}

const IN: i16 = sys::ecs_inout_kind_t_EcsIn as i16;
const INOUT: i16 = sys::ecs_inout_kind_t_EcsInOut as i16;

fn fill_terms(description: &mut sys::ecs_query_desc_t, ids: &[(sys::ecs_id_t, i16)]) {
    description.cache_kind = sys::ecs_query_cache_kind_t_EcsQueryCacheAuto;
    for (index, (id, inout)) in ids.iter().enumerate() {
        description.terms[index].id = *id;
        description.terms[index].inout = *inout;
    }
}

/// A column of the iterator's current table.
///
/// # Safety
/// The field at `index` holds values of `T`, and no other slice of it is alive.
unsafe fn column<'a, T>(iterator: *mut sys::ecs_iter_t, index: i8) -> &'a mut [T] {
    // SAFETY: flecs hands out `count` values per field; the caller vouches for the type.
    unsafe {
        let data = sys::ecs_field_w_size(iterator, size_of::<T>(), index).cast::<T>();
        std::slice::from_raw_parts_mut(data, (*iterator).count as usize)
    }
}

fn pointer<T>(values: &mut [T]) -> *mut std::ffi::c_void {
    debug_assert!(size_of_val(values) > 0);
    values.as_mut_ptr().cast()
}

/// The columns of the simple workloads, ready to be copied in.
struct SimpleColumns {
    transforms: Vec<Transform>,
    positions: Vec<Position>,
    rotations: Vec<Rotation>,
    velocities: Vec<Velocity>,
}

impl SimpleColumns {
    fn new(count: usize) -> Self {
        let (transform, position, rotation, velocity) = simple_entity();
        Self {
            transforms: vec![transform; count],
            positions: vec![position; count],
            rotations: vec![rotation; count],
            velocities: vec![velocity; count],
        }
    }

    /// Registers the four components and spawns one entity per row; returns the components' ids.
    fn spawn(&mut self, world: &World) -> [sys::ecs_id_t; 4] {
        let ids = [
            world.component::<Transform>(),
            world.component::<Position>(),
            world.component::<Rotation>(),
            world.component::<Velocity>(),
        ];
        let count = self.transforms.len();
        world.bulk(
            count,
            &mut [
                (ids[0], pointer(&mut self.transforms)),
                (ids[1], pointer(&mut self.positions)),
                (ids[2], pointer(&mut self.rotations)),
                (ids[3], pointer(&mut self.velocities)),
            ],
        );
        ids
    }
}

fn simple_insert(sampler: &Sampler) -> Measurement {
    let mut columns = SimpleColumns::new(ENTITIES);
    sampler.time(|| {
        let world = World::mini();
        columns.spawn(&world);
        black_box(&world.0);
    })
}

fn simple_iter(sampler: &Sampler) -> Measurement {
    let world = World::mini();
    let [_, position, _, velocity] = SimpleColumns::new(ENTITIES).spawn(&world);
    let query = world.query(&[(position, INOUT), (velocity, IN)]);
    sampler.time(|| {
        // SAFETY: the fields' types are those of the terms.
        unsafe {
            let mut iterator = sys::ecs_query_iter(world.0, query);
            while sys::ecs_query_next(&mut iterator) {
                advance(column(&mut iterator, 0), column(&mut iterator, 1));
            }
        }
        black_box(&world.0);
    })
}

fn fragmented_iter(sampler: &Sampler) -> Measurement {
    let world = World::mini();
    let data = world.component::<Data>();
    for _ in 0..26 {
        let letter = world.component::<A>();
        let mut letters = [A(0.0); ENTITIES_PER_FRAGMENT];
        let mut values = [Data(1.0); ENTITIES_PER_FRAGMENT];
        world.bulk(
            ENTITIES_PER_FRAGMENT,
            &mut [
                (letter, pointer(&mut letters)),
                (data, pointer(&mut values)),
            ],
        );
    }
    let query = world.query(&[(data, INOUT)]);
    sampler.time(|| {
        // SAFETY: the field's type is that of the term.
        unsafe {
            let mut iterator = sys::ecs_query_iter(world.0, query);
            while sys::ecs_query_next(&mut iterator) {
                double(column(&mut iterator, 0));
            }
        }
        black_box(&world.0);
    })
}

/// A world of entities with A, their ids, and the id of B.
fn world_of_a() -> (World, Vec<sys::ecs_entity_t>, sys::ecs_id_t) {
    let world = World::mini();
    let (a, b) = (world.component::<A>(), world.component::<B>());
    let mut values = vec![A(0.0); ENTITIES];
    let ids = world.bulk(ENTITIES, &mut [(a, pointer(&mut values))]);
    // SAFETY: flecs returns as many ids as were asked for, valid until the next operation.
    let entities = unsafe { std::slice::from_raw_parts(ids, ENTITIES) }.to_vec();
    (world, entities, b)
}

fn add_remove(sampler: &Sampler) -> Measurement {
    let (world, entities, b) = world_of_a();
    // SAFETY: the entities and the component are alive.
    sampler.time(|| unsafe {
        for &entity in &entities {
            sys::ecs_add_id(world.0, entity, b);
        }
        for &entity in &entities {
            sys::ecs_remove_id(world.0, entity, b);
        }
    })
}

fn add_remove_all(sampler: &Sampler) -> Measurement {
    let (world, entities, b) = world_of_a();
    // SAFETY: the entities and the component are alive.
    sampler.time(|| unsafe {
        for &entity in &entities {
            sys::ecs_add_id(world.0, entity, b);
        }
        sys::ecs_remove_all(world.0, b);
    })
}

/// Moves each entity straight to a table found once, with `ecs_commit`.
fn add_remove_commit(sampler: &Sampler) -> Measurement {
    let (world, entities, mut b) = world_of_a();
    // SAFETY: the entities are alive and all in one table; the difference between the tables is
    // exactly B.
    unsafe {
        let without = sys::ecs_get_table(world.0, entities[0]);
        let with = sys::ecs_table_add_id(world.0, without, b);
        let difference = sys::ecs_type_t {
            array: &mut b,
            count: 1,
        };
        let none = std::ptr::null();
        sampler.time(|| {
            for &entity in &entities {
                sys::ecs_commit(world.0, entity, null_mut(), with, &difference, none);
            }
            for &entity in &entities {
                sys::ecs_commit(world.0, entity, null_mut(), without, none, &difference);
            }
        })
    }
}

unsafe extern "C-unwind" fn compute_system(iterator: *mut sys::ecs_iter_t) {
    // SAFETY: the fields' types are those of the system's terms.
    unsafe {
        let positions = column::<Position>(iterator, 0);
        let transforms = column::<Transform>(iterator, 1);
        for (position, transform) in positions.iter_mut().zip(transforms) {
            invert_and_turn(transform, position);
        }
    }
}

fn heavy_compute(sampler: &Sampler, thread_count: usize) -> Measurement {
    let world = World::with_pipeline();
    let [transform, position, ..] = SimpleColumns::new(HEAVY_ENTITIES).spawn(&world);
    let parallel = thread_count > 1;
    world.system(
        &[(position, INOUT), (transform, INOUT)],
        parallel,
        |system| {
            system.callback = Some(compute_system);
        },
    );
    if parallel {
        // SAFETY: no frame is running.
        unsafe { sys::ecs_set_threads(world.0, thread_count as i32) };
    }
    let measurement = sampler.time(|| world.progress());
    let intact = world.sum_columns::<Transform>(transform, |column| count_intact(column.iter()));
    measurement.with_checksum(intact)
}

unsafe extern "C-unwind" fn swap_system(iterator: *mut sys::ecs_iter_t) {
    // SAFETY: both fields hold components of one float.
    unsafe { swap_columns::<A, B>(column(iterator, 0), column(iterator, 1)) };
}

fn schedule(sampler: &Sampler, thread_count: usize) -> Measurement {
    let world = World::with_pipeline();
    let [a, b, c, d, e] = std::array::from_fn(|_| world.component::<A>());
    for ids in [&[a, b][..], &[a, b, c], &[a, b, c, d], &[a, b, c, e]] {
        let mut values: Vec<_> = (0..ids.len())
            .map(|value| vec![A(value as f32); ENTITIES])
            .collect();
        let data = values.iter_mut().map(|column| pointer(column));
        let mut columns: Vec<_> = ids.iter().copied().zip(data).collect();
        world.bulk(ENTITIES, &mut columns);
    }
    let parallel = thread_count > 1;
    for [left, right] in [[a, b], [c, d], [c, e]] {
        world.system(&[(left, INOUT), (right, INOUT)], parallel, |system| {
            system.callback = Some(swap_system);
        });
    }
    if parallel {
        // SAFETY: no frame is running.
        unsafe { sys::ecs_set_threads(world.0, thread_count as i32) };
    }
    let measurement = sampler.time(|| world.progress());
    let runs = measurement.runs;
    let swapped = world.sum_columns::<A>(a, |column| {
        count_swapped(column.iter().map(|a| a.0), runs, 0.0, 1.0)
    });
    measurement.with_checksum(swapped)
}

unsafe extern "C-unwind" fn empty_system(_: *mut sys::ecs_iter_t) {}

fn empty_systems(
    sampler: &Sampler,
    count: usize,
    thread_count: usize,
    whole_run: bool,
) -> Measurement {
    let world = World::with_pipeline();
    for _ in 0..count {
        // A multi-threaded system without a query would be called once on each thread.
        world.system(&[], false, |system| {
            let body: Option<System> = Some(empty_system);
            if whole_run {
                system.run = body;
            } else {
                system.callback = body;
            }
        });
    }
    if thread_count > 1 {
        // SAFETY: no frame is running.
        unsafe { sys::ecs_set_threads(world.0, thread_count as i32) };
    }
    sampler.time(|| world.progress())
}
