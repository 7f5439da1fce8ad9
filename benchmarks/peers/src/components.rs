//! The component types and column kernels that every contender shares, so that only the libraries
//! differ.
//!
//! Sizes follow `ecs_bench_suite`: a 4x4 matrix and three-vectors of `f32`, and one-float
//! components.

use bevy_ecs::component::Component as BevyComponent;
use shipyard::Component as ShipyardComponent;

/// Entities of the simple workloads, and of each archetype of the schedule workload.
pub const ENTITIES: usize = 10_000;
/// Entities of each of the 26 archetypes of the fragmented workload.
pub const ENTITIES_PER_FRAGMENT: usize = 20;
/// Entities of the heavy workload.
pub const HEAVY_ENTITIES: usize = 1_000;
/// Inversions of one entity's matrix in one pass of the heavy workload.
pub const INVERSIONS: usize = 100;

/// A matrix in column-major order.
#[derive(Clone, Copy, BevyComponent, ShipyardComponent)]
pub struct Transform(pub [f32; 16]);

/// Where an entity is.
#[derive(Clone, Copy, BevyComponent, ShipyardComponent)]
pub struct Position(pub [f32; 3]);

/// Which way an entity faces; carried along, never read by the kernels.
#[derive(Clone, Copy, BevyComponent, ShipyardComponent)]
#[allow(dead_code)]
pub struct Rotation(pub [f32; 3]);

/// How an entity moves in one step.
#[derive(Clone, Copy, BevyComponent, ShipyardComponent)]
pub struct Velocity(pub [f32; 3]);

/// A component that is one float, whatever its type.
pub trait Scalar {
    /// The float.
    fn value(&mut self) -> &mut f32;
}

macro_rules! scalar_components {
    ($($name:ident)*) => {$(
        /// One float.
        #[derive(Clone, Copy, BevyComponent, ShipyardComponent)]
        pub struct $name(pub f32);

        impl Scalar for $name {
            #[inline(always)]
            fn value(&mut self) -> &mut f32 {
                &mut self.0
            }
        }
    )*};
}

scalar_components!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Data);

/// Calls a macro with the 26 component types that tell the fragments apart.
macro_rules! with_letters {
    ($callback:ident, $argument:expr) => {{
        use crate::components::*;
        $callback!($argument, A B C D E F G H I J K L M N O P Q R S T U V W X Y Z);
    }};
}
pub(crate) use with_letters;

/// The four components of one entity of the simple workloads.
pub fn simple_entity() -> (Transform, Position, Rotation, Velocity) {
    (
        Transform(rotation_about_x(1.2)),
        Position([1.0, 0.0, 0.0]),
        Rotation([1.0, 0.0, 0.0]),
        Velocity([1.0, 0.0, 0.0]),
    )
}

/// `position += velocity` over two columns.
#[inline]
pub fn advance(positions: &mut [Position], velocities: &[Velocity]) {
    for (position, velocity) in positions.iter_mut().zip(velocities) {
        advance_one(position, velocity);
    }
}

/// `position += velocity` for one entity.
#[inline(always)]
pub fn advance_one(position: &mut Position, velocity: &Velocity) {
    for axis in 0..3 {
        position.0[axis] += velocity.0[axis];
    }
}

/// Doubles a column.
#[inline]
pub fn double(column: &mut [Data]) {
    for data in column {
        data.0 *= 2.0;
    }
}

/// Exchanges two columns row by row.
#[inline]
pub fn swap_columns<Left: Scalar, Right: Scalar>(left: &mut [Left], right: &mut [Right]) {
    for (left, right) in left.iter_mut().zip(right) {
        swap_one(left, right);
    }
}

/// Exchanges the values of two components.
#[inline(always)]
pub fn swap_one<Left: Scalar, Right: Scalar>(left: &mut Left, right: &mut Right) {
    std::mem::swap(left.value(), right.value());
}

/// One pass of the heavy workload over one entity: invert the matrix again and again, then turn the
/// position.
#[inline]
pub fn invert_and_turn(transform: &mut Transform, position: &mut Position) {
    for _ in 0..INVERSIONS {
        transform.0 = inverse(&transform.0);
    }
    let (m, [x, y, z]) = (&transform.0, position.0);
    for axis in 0..3 {
        position.0[axis] = m[axis] * x + m[4 + axis] * y + m[8 + axis] * z;
    }
}

/// How many values of a column are what a number of swaps has made of `first` and `second`: the
/// trace that a frame of swaps leaves.
pub fn count_swapped(
    column: impl Iterator<Item = f32>,
    swaps: u64,
    first: f32,
    second: f32,
) -> u64 {
    let expected = if swaps.is_multiple_of(2) {
        first
    } else {
        second
    };
    column.filter(|&value| value == expected).count() as u64
}

/// How many matrices are still the rotation they were, which an even number of inversions leaves
/// them; an entity that a pass left out, or inverted by half, is not counted.
pub fn count_intact<'a>(matrices: impl Iterator<Item = &'a Transform>) -> u64 {
    let expected = rotation_about_x(1.2);
    let is_intact = |matrix: &&Transform| {
        let pairs = matrix.0.iter().zip(&expected);
        pairs
            .map(|(value, expected)| (value - expected).abs())
            .all(|error| error < 0.05)
    };
    matrices.filter(is_intact).count() as u64
}

fn rotation_about_x(angle: f32) -> [f32; 16] {
    let (sine, cosine) = angle.sin_cos();
    let mut matrix = [0.0; 16];
    matrix[0] = 1.0;
    matrix[5] = cosine;
    matrix[6] = sine;
    matrix[9] = -sine;
    matrix[10] = cosine;
    matrix[15] = 1.0;
    matrix
}

/// The inverse of a general 4x4 matrix through its 2x2 minors; the input must be invertible.
fn inverse(m: &[f32; 16]) -> [f32; 16] {
    let upper = minors(m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]);
    let lower = minors(m[8], m[9], m[10], m[11], m[12], m[13], m[14], m[15]);
    let [s0, s1, s2, s3, s4, s5] = upper;
    let [c0, c1, c2, c3, c4, c5] = lower;
    let scale = 1.0 / (s0 * c5 - s1 * c4 + s2 * c3 + s3 * c2 - s4 * c1 + s5 * c0);
    [
        (m[5] * c5 - m[6] * c4 + m[7] * c3) * scale,
        (-m[1] * c5 + m[2] * c4 - m[3] * c3) * scale,
        (m[13] * s5 - m[14] * s4 + m[15] * s3) * scale,
        (-m[9] * s5 + m[10] * s4 - m[11] * s3) * scale,
        (-m[4] * c5 + m[6] * c2 - m[7] * c1) * scale,
        (m[0] * c5 - m[2] * c2 + m[3] * c1) * scale,
        (-m[12] * s5 + m[14] * s2 - m[15] * s1) * scale,
        (m[8] * s5 - m[10] * s2 + m[11] * s1) * scale,
        (m[4] * c4 - m[5] * c2 + m[7] * c0) * scale,
        (-m[0] * c4 + m[1] * c2 - m[3] * c0) * scale,
        (m[12] * s4 - m[13] * s2 + m[15] * s0) * scale,
        (-m[8] * s4 + m[9] * s2 - m[11] * s0) * scale,
        (-m[4] * c3 + m[5] * c1 - m[6] * c0) * scale,
        (m[0] * c3 - m[1] * c1 + m[2] * c0) * scale,
        (-m[12] * s3 + m[13] * s1 - m[14] * s0) * scale,
        (m[8] * s3 - m[9] * s1 + m[10] * s0) * scale,
    ]
}

/// The six 2x2 minors of two rows of four.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn minors(a: f32, b: f32, c: f32, d: f32, e: f32, f: f32, g: f32, h: f32) -> [f32; 6] {
    [
        a * f - e * b,
        a * g - e * c,
        a * h - e * d,
        b * g - f * c,
        b * h - f * d,
        c * h - g * d,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_the_identity() {
        let matrix: [f32; 16] = [
            2.0, 1.0, 0.0, 3.0, 0.5, 4.0, 1.0, 0.0, 1.0, 2.0, 5.0, 1.0, 0.0, 1.0, 1.0, 3.0,
        ];
        let inverted = inverse(&matrix);
        for row in 0..4 {
            for column in 0..4 {
                let product: f32 = (0..4)
                    .map(|k| matrix[row * 4 + k] * inverted[k * 4 + column])
                    .sum();
                let expected = if row == column { 1.0 } else { 0.0 };
                assert!(
                    (product - expected).abs() < 1e-5,
                    "{row} {column}: {product}"
                );
            }
        }
    }
}
