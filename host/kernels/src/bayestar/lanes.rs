//! Elementary functions in single precision, written so that the compiler turns a loop over
//! them into vector code: no branches, no tables, no calls.
//!
//! `FMA` says whether the surrounding code is compiled for a processor with fused multiply–add;
//! without it `a·b + c` is rounded twice, never emulated. Errors are below 2 units in the last
//! place over the stated ranges. Polynomials are least-squares fits on Chebyshev nodes.

/// Samples are handled in groups of this many.
pub(crate) const LANES: usize = 16;

/// One group.
pub(crate) type Lanes = [f32; LANES];

/// `a·b + c`.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Horner's rule; `coefficients` from the constant upwards.
#[inline(always)]
fn horner<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        sum = fma::<FMA>(sum, x, coefficients[k]);
    }
    sum
}

/// Adding and subtracting this rounds to an integer, whose bits are then the lowest ones.
pub(crate) const ROUNDER: f32 = 12_582_912.0;

/// `2^r` for `|r| ≤ ½`, and 1 for 0: a least-squares fit whose linear term is rounded to `ln 2`.
const EXP2: [f32; 7] = [
    1.0,
    std::f32::consts::LN_2,
    0.24022648,
    0.05550329,
    0.009618374,
    0.0013399848,
    0.00015370705,
];

/// `2^x`; below -64 it is `2^-64`, above 126 `2^126`. Products of what is small stay normal
/// numbers: others take processors many times as long.
#[inline(always)]
pub(crate) fn exp2<const FMA: bool>(x: f32) -> f32 {
    let x = if x > -64.0 { x } else { -64.0 };
    let x = if x < 126.0 { x } else { 126.0 };
    let shifted = x + ROUNDER;
    let r = x - (shifted - ROUNDER);
    let value = horner::<FMA, 7>(r, EXP2);
    // The sum of exponents: a value in [√½, √2) times the whole power.
    f32::from_bits(
        value
            .to_bits()
            .wrapping_add(shifted.to_bits().wrapping_sub(ROUNDER.to_bits()) << 23),
    )
}

/// `ln(x)` for normal positive `x`.
#[inline(always)]
pub(crate) fn ln<const FMA: bool>(x: f32) -> f32 {
    /// Bits of √½, so that the mantissa falls into `[√½, √2)`.
    const ROOT_HALF: u32 = 0x3f35_04f3;
    let above = x.to_bits().wrapping_sub(ROOT_HALF).cast_signed() >> 23;
    let mantissa = f32::from_bits(x.to_bits().wrapping_sub((above << 23).cast_unsigned()));
    let f = mantissa - 1.0;
    let tail = horner::<FMA, 9>(
        f,
        [
            0.333_333_12,
            -0.250_000_02,
            0.200_021_45,
            -0.166_684_02,
            0.142_194_27,
            -0.123_991_08,
            0.118_826_26,
            -0.117_089_62,
            0.067_972_89,
        ],
    );
    let square = f * f;
    let log = fma::<FMA>(square * f, tail, fma::<FMA>(square, -0.5, f));
    fma::<FMA>(as_f32(above), std::f32::consts::LN_2, log)
}

/// The exact value of an integer of at most 24 bits.
#[expect(
    clippy::cast_precision_loss,
    reason = "callers pass exponents and quadrants only"
)]
#[inline(always)]
fn as_f32(n: i32) -> f32 {
    n as f32
}

/// `(sin x, cos x)` for `|x| ≤ 1e4`, by reduction with π/2 in three parts (Cody & Waite 1980).
#[inline(always)]
pub(crate) fn sin_cos<const FMA: bool>(x: f32) -> (f32, f32) {
    const PART_1: f32 = 1.570_312_5;
    const PART_2: f32 = 4.837_513e-4;
    const PART_3: f32 = 7.549_79e-8;
    let shifted = fma::<FMA>(x, std::f32::consts::FRAC_2_PI, ROUNDER);
    let n = shifted - ROUNDER;
    let r = fma::<FMA>(n, -PART_1, x);
    let r = fma::<FMA>(n, -PART_2, r);
    let r = fma::<FMA>(n, -PART_3, r);
    let square = r * r;
    let s = horner::<FMA, 4>(
        square,
        [
            -0.166_666_67,
            0.008_333_329,
            -1.983_932_7e-4,
            2.718_250_7e-6,
        ],
    );
    let c = horner::<FMA, 4>(
        square,
        [
            0.041_666_668,
            -0.001_388_888_4,
            2.479_953_3e-5,
            -2.721_116_6e-7,
        ],
    );
    let sine = fma::<FMA>(square * r, s, r);
    let cosine = fma::<FMA>(square * square, c, fma::<FMA>(square, -0.5, 1.0));
    // Quadrant n: odd ones exchange the two, bits 1 of n and of n + 1 are their signs.
    let quadrant = shifted.to_bits();
    let odd = quadrant & 1 != 0;
    let (a, b) = if odd { (cosine, sine) } else { (sine, cosine) };
    let flip_a = (quadrant & 2) << 30;
    let flip_b = (quadrant.wrapping_add(1) & 2) << 30;
    (
        f32::from_bits(a.to_bits() ^ flip_a),
        f32::from_bits(b.to_bits() ^ flip_b),
    )
}

/// Weights of the four neighbours at -1, 0, 1, 2 for position `t` in `[0, 1)` (Catmull–Rom).
#[inline(always)]
pub(crate) fn catmull_rom(t: f32) -> [f32; 4] {
    let square = t * t;
    [
        t * (-0.5 + t * (1.0 - 0.5 * t)),
        1.0 + square * (-2.5 + 1.5 * t),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        square * (-0.5 + 0.5 * t),
    ]
}

/// The larger of two; the second if they cannot be compared.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The largest of one group, by halves.
#[inline(always)]
pub(crate) fn largest_lane(lanes: &Lanes) -> f32 {
    let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
    for l in 0..8 {
        eight[l] = larger(lanes[l], lanes[l + 8]);
    }
    for l in 0..4 {
        four[l] = larger(eight[l], eight[l + 4]);
    }
    larger(larger(four[0], four[2]), larger(four[1], four[3]))
}

#[cfg(test)]
mod tests;
