//! Two results of one call, number by number: how far they are apart, and whether that is allowed.

use crate::kernel::number_bytes;
use crate::spmd::ir::Unary;
use crate::spmd::oracle::{Fusion, eval};

/// How far a result is from the reference's, for one output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// The output, or the variable that the shader writes.
    pub output: String,
    /// Numbers in it.
    pub numbers: usize,
    /// The largest distance: of floats how many of their type lie between, of other numbers the difference. A NaN is far from
    /// all numbers, `u64::MAX`, and at no distance from a NaN.
    pub max_ulp: u64,
    /// Numbers that are finite on one side only, or NaN against infinite, where that is allowed: WGSL lets a GPU assume that no
    /// number on the way is NaN or infinite. They are in no other count.
    pub open: usize,
    /// Numbers that differ by more than is allowed.
    pub differing: usize,
    /// The first of those.
    pub first: Option<Difference>,
}

/// One number that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Its place among the numbers of the output.
    pub number: usize,
    /// Where it starts, in bytes.
    pub offset: usize,
    /// What the reference has there.
    pub expected: String,
    /// What this one has.
    pub got: String,
}

/// What may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Nothing but the bits of a NaN.
    Nothing,
    /// What WGSL leaves open on a GPU.
    Wgsl,
}

/// 2⁻¹¹ of a number: what WGSL allows `sin` and `cos`, the least accurate of its functions that have a bound.
const WGSL_ULP: u64 = 1 << 12;

/// Where the numbers of an output are: start, kind, count.
pub(super) type Runs = Vec<(usize, &'static str, usize)>;

/// Compares the bytes of one output.
pub(super) fn compare(
    output: &str,
    runs: &Runs,
    expected: &[u8],
    got: &[u8],
    allowed: Allowed,
) -> Comparison {
    let mut comparison =
        Comparison { output: output.to_owned(), numbers: 0, max_ulp: 0, open: 0, differing: 0, first: None };
    // A sum of large numbers that cancel is as wrong as they are.
    let scale = match allowed {
        Allowed::Nothing => 0.0,
        Allowed::Wgsl => numbers(runs, expected)
            .map(|(_, number)| number.value().abs())
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max),
    };
    for ((offset, a), (_, b)) in numbers(runs, expected).zip(numbers(runs, got)) {
        let at = comparison.numbers;
        comparison.numbers += 1;
        if a.bits == b.bits {
            continue;
        }
        let finite = a.value().is_finite() && b.value().is_finite();
        if allowed == Allowed::Wgsl && a.is_float() && !finite {
            comparison.open += 1;
            continue;
        }
        let ulp = a.distance(b);
        comparison.max_ulp = comparison.max_ulp.max(ulp);
        let fits = match allowed {
            Allowed::Nothing => a.value().is_nan() && b.value().is_nan(),
            Allowed::Wgsl => a.may_be(b, ulp, scale),
        };
        if !fits {
            comparison.differing += 1;
            comparison.first.get_or_insert_with(|| Difference {
                number: at,
                offset,
                expected: a.to_string(),
                got: b.to_string(),
            });
        }
    }
    comparison
}

/// One number of any kind.
#[derive(Clone, Copy, Debug)]
struct Number {
    kind: &'static str,
    bits: u64,
}

fn numbers<'a>(runs: &'a Runs, bytes: &'a [u8]) -> impl Iterator<Item = (usize, Number)> + 'a {
    runs.iter().flat_map(move |&(start, kind, count)| {
        let size = number_bytes(kind) as usize;
        (0..count).filter_map(move |i| {
            let offset = start + i * size;
            let mut word = [0; 8];
            let bytes = bytes.get(offset..offset + size)?;
            // The low end of a word is at its start, or at its end.
            if cfg!(target_endian = "little") {
                word[..size].copy_from_slice(bytes);
            } else {
                word[8 - size..].copy_from_slice(bytes);
            }
            Some((offset, Number { kind, bits: u64::from_ne_bytes(word) }))
        })
    })
}

impl Number {
    fn is_float(self) -> bool {
        self.kind.starts_with('f')
    }

    /// As an f64, which holds every number of at most 32 bits.
    fn value(self) -> f64 {
        match self.kind {
            "f32" => f64::from(f32::from_bits(self.bits as u32)),
            "f64" => f64::from_bits(self.bits),
            "f16" => f64::from(f32::from_bits(eval::unary(Unary::F16ToF32, Fusion::Fused, self.bits as u32))),
            _ => self.integer() as f64,
        }
    }

    fn integer(self) -> i128 {
        match self.kind {
            "i8" => i128::from(self.bits as u8 as i8),
            "i16" => i128::from(self.bits as u16 as i16),
            "i32" => i128::from(self.bits as u32 as i32),
            "i64" => i128::from(self.bits as i64),
            _ => i128::from(self.bits),
        }
    }

    /// Floats counted from zero: their bits are in order.
    fn ordinal(self) -> i128 {
        if !self.is_float() {
            return self.integer();
        }
        let sign = 1_u64 << (8 * number_bytes(self.kind) - 1);
        let magnitude = i128::from(self.bits & (sign - 1));
        if self.bits & sign == 0 { magnitude } else { -magnitude }
    }

    fn distance(self, other: Self) -> u64 {
        if self.is_float() {
            match (self.value().is_nan(), other.value().is_nan()) {
                (true, true) => return 0,
                (true, false) | (false, true) => return u64::MAX,
                (false, false) => {}
            }
        }
        u64::try_from(self.ordinal().abs_diff(other.ordinal())).unwrap_or(u64::MAX)
    }

    /// Whether a GPU may give `other`, for a result whose largest number is `scale`.
    fn may_be(self, other: Self, ulp: u64, scale: f64) -> bool {
        if !self.is_float() {
            // A texel is rounded to 8 or 16 bits, up or down where the number lies near the middle.
            return number_bytes(self.kind) < 4 && ulp <= 1;
        }
        let (a, b) = (self.value(), other.value());
        if ulp <= WGSL_ULP {
            return true;
        }
        let smallest = if self.kind == "f16" { 2.0_f64.powi(-14) } else { f64::from(f32::MIN_POSITIVE) };
        // Subnormal numbers may be flushed to zero.
        (a - b).abs() <= (scale * 2.0_f64.powi(-11)).max(smallest)
    }
}

/// As short as it can be and still the same number.
impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            "f64" => write!(f, "{:?}", f64::from_bits(self.bits)),
            _ if self.is_float() => write!(f, "{:?}", self.value() as f32),
            _ => write!(f, "{}", self.integer()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: bytemuck::Pod>(kind: &'static str, a: &[T], b: &[T], allowed: Allowed) -> Comparison {
        let runs = vec![(0, kind, a.len())];
        compare("out", &runs, bytemuck::cast_slice(a), bytemuck::cast_slice(b), allowed)
    }

    #[test]
    fn distances_count_what_lies_between() {
        let f32s = |a: f32, b: f32| of("f32", &[a], &[b], Allowed::Nothing).max_ulp;
        assert_eq!(f32s(1.0, 1.0 + f32::EPSILON), 1);
        assert_eq!(f32s(1.0, 2.0), 1 << 23);
        assert_eq!(f32s(f32::from_bits(1), -f32::from_bits(1)), 2);
        assert_eq!(f32s(f32::MAX, f32::INFINITY), 1);
        assert_eq!(f32s(f32::NAN, 1.0), u64::MAX);
        assert_eq!(f32s(f32::NAN, -f32::NAN), 0);
        assert_eq!(of("i32", &[i32::MIN], &[i32::MAX], Allowed::Nothing).max_ulp, u64::from(u32::MAX));
        assert_eq!(of("f16", &[0x3c00_u16], &[0x3c01], Allowed::Nothing).max_ulp, 1);
        assert_eq!(of("f64", &[1.0_f64], &[1.0 + f64::EPSILON], Allowed::Nothing).max_ulp, 1);
        assert_eq!(of("u8", &[0_u8, 255], &[0, 0], Allowed::Nothing).max_ulp, 255);
    }

    #[test]
    fn on_a_cpu_only_the_bits_of_a_nan_may_differ() {
        let (a, b) = ([0.0_f32, f32::NAN, 3.0, 4.0], [-0.0, -f32::NAN, 3.0, 5.0]);
        let got = of("f32", &a, &b, Allowed::Nothing);
        assert_eq!((got.numbers, got.differing), (4, 2));
        let first = got.first.expect("they differ");
        assert_eq!((first.number, &*first.expected, &*first.got), (0, "0.0", "-0.0"));
    }

    #[test]
    fn on_a_gpu_what_wgsl_leaves_open_may_differ() {
        let differing = |a: &[f32], b: &[f32]| of("f32", a, b, Allowed::Wgsl).differing;
        let got =
            of("f32", &[1.0, f32::NAN, f32::INFINITY, 1.0], &[1.0004, 0.0, 5.0, f32::NAN], Allowed::Wgsl);
        assert_eq!((got.differing, got.open), (0, 3));
        assert!(got.max_ulp > 3000 && got.max_ulp < 4096, "{got:?}");
        assert_eq!(differing(&[1.0], &[1.001]), 1);
        // Cancelled: as wrong as the large ones may be, and no more.
        assert_eq!(differing(&[1000.0, 0.0], &[1000.0, 0.1]), 0);
        assert_eq!(differing(&[1000.0, 0.0], &[1000.0, 0.6]), 1);
        assert_eq!(differing(&[1e-40], &[0.0]), 0);
        assert_eq!(of("u32", &[5_u32], &[6], Allowed::Wgsl).differing, 1);
        assert_eq!(of("u8", &[5_u8, 5], &[6, 7], Allowed::Wgsl).differing, 1);
    }

    #[test]
    fn padding_does_not_count() {
        let runs = vec![(0, "f32", 3), (16, "u32", 1)];
        let (a, mut b) = ([0_u32; 5], [0_u32; 5]);
        b[3] = 9;
        let compare = |b: &[u32]| {
            compare("s", &runs, bytemuck::cast_slice(&a), bytemuck::cast_slice(b), Allowed::Nothing)
        };
        assert_eq!((compare(&b).numbers, compare(&b).differing), (4, 0));
        b[4] = 1;
        let first = compare(&b).first.expect("differs");
        assert_eq!((first.number, first.offset), (3, 16));
    }
}
