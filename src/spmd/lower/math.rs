//! WGSL's built-in functions: a primitive where the IR has one, else the formula of the WGSL specification, operation by
//! operation and rounded at each.

use naga::{MathFunction, Span, TypeInner};

use super::super::ir::{Binary, Ternary, Ty, Unary, Value};
use super::{Lowerer, Result, Unsupported, Vals};

/// 180/π and π/180 to the nearest `f32`; dividing `f32`s would miss the first by a unit in the last place.
const DEGREES_PER_RADIAN: f32 = 57.295_78;
const RADIANS_PER_DEGREE: f32 = 0.017_453_292;

impl Lowerer<'_> {
    /// `inner` is the first argument's type.
    pub(super) fn math(
        &mut self,
        function: MathFunction,
        inner: &TypeInner,
        arguments: &[Vals],
        span: Span,
    ) -> Result<Vals> {
        use MathFunction as Fun;
        let longest = arguments.iter().map(|argument| argument.len()).max().unwrap_or_default();
        self.spend(longest, span)?;
        if let Some(op) = float_unary(function) {
            return Ok(self.each(&arguments[0], |l, x| l.build.unary(op, x)));
        }
        let a = &arguments[0];
        Ok(match function {
            // Component by component, one argument.
            Fun::Abs => self.each(a, |l, x| match l.build.ty(x) {
                Ty::F32 => l.build.unary(Unary::AbsF, x),
                Ty::I32 => l.build.unary(Unary::AbsI, x),
                _ => x,
            }),
            Fun::Sign => self.each(a, Self::sign),
            Fun::Saturate => self.each(a, |l, x| {
                let (zero, one) = (l.build.f32(0.0), l.build.f32(1.0));
                l.clamp(x, zero, one)
            }),
            Fun::Fract => self.each(a, |l, x| {
                let whole = l.build.unary(Unary::FloorF, x);
                l.build.binary(Binary::SubF, x, whole)
            }),
            Fun::Radians => self.each(a, |l, x| {
                let factor = l.build.f32(RADIANS_PER_DEGREE);
                l.build.binary(Binary::MulF, x, factor)
            }),
            Fun::Degrees => self.each(a, |l, x| {
                let factor = l.build.f32(DEGREES_PER_RADIAN);
                l.build.binary(Binary::MulF, x, factor)
            }),
            Fun::QuantizeToF16 => self.each(a, |l, x| {
                let half = l.build.unary_to(Ty::U32, Unary::F32ToF16, x);
                l.build.unary_to(Ty::F32, Unary::F16ToF32, half)
            }),
            Fun::CountOneBits => self.each(a, |l, x| l.build.unary(Unary::CountOnes, x)),
            Fun::CountLeadingZeros => self.each(a, |l, x| l.build.unary(Unary::LeadingZeros, x)),
            Fun::CountTrailingZeros => self.each(a, |l, x| l.build.unary(Unary::TrailingZeros, x)),
            Fun::ReverseBits => self.each(a, |l, x| l.build.unary(Unary::ReverseBits, x)),
            Fun::FirstLeadingBit => self.each(a, Self::first_leading_bit),
            Fun::FirstTrailingBit => self.each(a, Self::first_trailing_bit),
            Fun::Modf => {
                let whole = self.each(a, |l, x| l.build.unary(Unary::TruncF, x));
                let fract = self.each2(a, &whole, |l, x, whole| l.build.binary(Binary::SubF, x, whole));
                fract.iter().chain(whole.iter()).copied().collect()
            }
            Fun::Frexp => {
                let fract = self.each(a, |l, x| l.build.unary(Unary::FrexpFract, x));
                let exp = self.each(a, |l, x| l.build.unary_to(Ty::I32, Unary::FrexpExp, x));
                fract.iter().chain(exp.iter()).copied().collect()
            }

            // Component by component, several arguments.
            Fun::Min => self.each2(a, &arguments[1], Self::min),
            Fun::Max => self.each2(a, &arguments[1], Self::max),
            Fun::Clamp => self.each3(a, &arguments[1], &arguments[2], Self::clamp),
            Fun::Atan2 => self.each2(a, &arguments[1], |l, y, x| l.build.binary(Binary::Atan2, y, x)),
            Fun::Pow => self.each2(a, &arguments[1], |l, x, y| l.build.binary(Binary::Pow, x, y)),
            Fun::Ldexp => self.each2(a, &arguments[1], |l, x, n| l.build.binary(Binary::Ldexp, x, n)),
            Fun::Step => self.each2(a, &arguments[1], |l, edge, x| {
                let reached = l.build.binary(Binary::LeF, edge, x);
                let (one, zero) = (l.build.f32(1.0), l.build.f32(0.0));
                l.build.select(reached, one, zero)
            }),
            Fun::Fma => self
                .each3(a, &arguments[1], &arguments[2], |l, x, y, z| l.build.ternary(Ternary::Fma, x, y, z)),
            Fun::Mix => self.each3(a, &arguments[1], &arguments[2], |l, x, y, part| {
                let one = l.build.f32(1.0);
                let rest = l.build.binary(Binary::SubF, one, part);
                let from = l.build.binary(Binary::MulF, x, rest);
                let to = l.build.binary(Binary::MulF, y, part);
                l.build.binary(Binary::AddF, from, to)
            }),
            Fun::SmoothStep => self.each3(a, &arguments[1], &arguments[2], Self::smoothstep),
            Fun::ExtractBits => self.each3(a, &arguments[1], &arguments[2], Self::extract_bits),
            Fun::InsertBits => {
                let (offset, count) = (arguments[2][0], arguments[3][0]);
                self.each2(a, &arguments[1], |l, x, bits| l.insert_bits(x, bits, offset, count))
            }

            // Vectors.
            Fun::Dot => self.dot(a, &arguments[1]).into(),
            Fun::Length => self.length(a).into(),
            Fun::Distance => {
                let difference = self.each2(a, &arguments[1], |l, x, y| l.build.binary(Binary::SubF, x, y));
                self.length(&difference).into()
            }
            Fun::Normalize => {
                let length = self.length(a);
                self.each(a, |l, x| l.build.binary(Binary::DivF, x, length))
            }
            Fun::Cross => self.cross(a, &arguments[1]),
            Fun::FaceForward => {
                let side = self.dot(&arguments[1], &arguments[2]);
                let zero = self.build.f32(0.0);
                let front = self.build.binary(Binary::LtF, side, zero);
                self.each(a, |l, x| {
                    let back = l.build.unary(Unary::NegF, x);
                    l.build.select(front, x, back)
                })
            }
            Fun::Reflect => {
                let (two, along) = (self.build.f32(2.0), self.dot(&arguments[1], a));
                let twice = self.build.binary(Binary::MulF, two, along);
                self.each2(a, &arguments[1], |l, x, normal| {
                    let back = l.build.binary(Binary::MulF, twice, normal);
                    l.build.binary(Binary::SubF, x, back)
                })
            }
            Fun::Refract => self.refract(a, &arguments[1], arguments[2][0]),

            // Matrices.
            Fun::Transpose => {
                let rows = rows(inner);
                (0..rows).flat_map(|row| a.iter().skip(row).step_by(rows).copied()).collect()
            }
            Fun::Determinant => self.determinant(a, rows(inner)).into(),

            // Packing.
            Fun::Dot4I8Packed | Fun::Dot4U8Packed => {
                let ty = if function == Fun::Dot4I8Packed { Ty::I32 } else { Ty::U32 };
                let (x, y) = (self.unpack(a[0], 8, ty), self.unpack(arguments[1][0], 8, ty));
                self.dot(&x, &y).into()
            }
            Fun::Pack4x8snorm => self.pack_normalised(a, 8, -1.0, 127.0),
            Fun::Pack4x8unorm => self.pack_normalised(a, 8, 0.0, 255.0),
            Fun::Pack2x16snorm => self.pack_normalised(a, 16, -1.0, 32767.0),
            Fun::Pack2x16unorm => self.pack_normalised(a, 16, 0.0, 65535.0),
            Fun::Pack2x16float => self.pack_halves(a),
            Fun::Pack4xI8 | Fun::Pack4xU8 => {
                let words = self.each(a, |l, x| l.build.unary_to(Ty::U32, Unary::Bitcast, x));
                self.pack(&words, 8)
            }
            Fun::Pack4xI8Clamp => self.pack_clamped(a, 8, (-128, 127)),
            Fun::Pack4xU8Clamp => self.pack_clamped(a, 8, (0, 255)),
            Fun::Unpack4x8snorm => self.unpack_normalised(a[0], 8, Ty::I32, 127.0),
            Fun::Unpack4x8unorm => self.unpack_normalised(a[0], 8, Ty::U32, 255.0),
            Fun::Unpack2x16snorm => self.unpack_normalised(a[0], 16, Ty::I32, 32767.0),
            Fun::Unpack2x16unorm => self.unpack_normalised(a[0], 16, Ty::U32, 65535.0),
            Fun::Unpack2x16float => {
                let halves = self.unpack(a[0], 16, Ty::U32);
                self.each(&halves, |l, half| l.build.unary_to(Ty::F32, Unary::F16ToF32, half))
            }
            Fun::Unpack4xI8 => self.unpack(a[0], 8, Ty::I32),
            Fun::Unpack4xU8 => self.unpack(a[0], 8, Ty::U32),

            // No WGSL text comes to these.
            Fun::Outer | Fun::Inverse => {
                return Err(Unsupported::new(format!("the function {function:?}"), span));
            }
            // `float_unary` has taken the rest.
            other => return Err(Unsupported::new(format!("the function {other:?}"), span)),
        })
    }

    fn each(&mut self, a: &[Value], mut f: impl FnMut(&mut Self, Value) -> Value) -> Vals {
        a.iter().map(|&a| f(self, a)).collect()
    }

    /// A single scalar goes with every component of the others.
    fn each2(
        &mut self,
        a: &[Value],
        b: &[Value],
        mut f: impl FnMut(&mut Self, Value, Value) -> Value,
    ) -> Vals {
        (0..a.len().max(b.len())).map(|i| f(self, component(a, i), component(b, i))).collect()
    }

    fn each3(
        &mut self,
        a: &[Value],
        b: &[Value],
        c: &[Value],
        mut f: impl FnMut(&mut Self, Value, Value, Value) -> Value,
    ) -> Vals {
        (0..a.len().max(b.len()).max(c.len()))
            .map(|i| f(self, component(a, i), component(b, i), component(c, i)))
            .collect()
    }

    fn min(&mut self, a: Value, b: Value) -> Value {
        let op = match self.build.ty(a) {
            Ty::F32 => Binary::MinF,
            Ty::I32 => Binary::MinI,
            _ => Binary::MinU,
        };
        self.build.binary(op, a, b)
    }

    fn max(&mut self, a: Value, b: Value) -> Value {
        let op = match self.build.ty(a) {
            Ty::F32 => Binary::MaxF,
            Ty::I32 => Binary::MaxI,
            _ => Binary::MaxU,
        };
        self.build.binary(op, a, b)
    }

    /// `min(max(x, low), high)`.
    fn clamp(&mut self, x: Value, low: Value, high: Value) -> Value {
        let x = self.max(x, low);
        self.min(x, high)
    }

    /// ±1, and 0 for ±0 and NaN.
    fn sign(&mut self, x: Value) -> Value {
        let ty = self.build.ty(x);
        let (zero, one) = (self.build.zero(ty), self.build.one(ty));
        let (less, minus_one) = if ty == Ty::F32 {
            (Binary::LtF, self.build.f32(-1.0))
        } else {
            (Binary::LtI, self.build.constant(ty, u32::MAX))
        };
        let negative = self.build.binary(less, x, zero);
        let positive = self.build.binary(less, zero, x);
        let above = self.build.select(positive, one, zero);
        self.build.select(negative, minus_one, above)
    }

    /// `t = clamp((x - low) / (high - low), 0, 1)`, then `t * t * (3 - 2 * t)`.
    fn smoothstep(&mut self, low: Value, high: Value, x: Value) -> Value {
        let above = self.build.binary(Binary::SubF, x, low);
        let width = self.build.binary(Binary::SubF, high, low);
        let t = self.build.binary(Binary::DivF, above, width);
        let (zero, one) = (self.build.f32(0.0), self.build.f32(1.0));
        let t = self.clamp(t, zero, one);
        let (two, three) = (self.build.f32(2.0), self.build.f32(3.0));
        let square = self.build.binary(Binary::MulF, t, t);
        let twice = self.build.binary(Binary::MulF, two, t);
        let rest = self.build.binary(Binary::SubF, three, twice);
        self.build.binary(Binary::MulF, square, rest)
    }

    /// The highest bit that differs from the sign's, or all ones.
    fn first_leading_bit(&mut self, x: Value) -> Value {
        let ty = self.build.ty(x);
        let word = if ty == Ty::I32 {
            let all = self.build.u32(31);
            let sign = self.build.binary(Binary::ShrI, x, all);
            self.build.binary(Binary::XorI, x, sign)
        } else {
            x
        };
        let zeros = self.build.unary(Unary::LeadingZeros, word);
        let top = self.build.constant(ty, 31);
        self.build.binary(Binary::SubI, top, zeros)
    }

    /// The lowest one bit, or all ones.
    fn first_trailing_bit(&mut self, x: Value) -> Value {
        let ty = self.build.ty(x);
        let (zero, none) = (self.build.zero(ty), self.build.constant(ty, u32::MAX));
        let empty = self.build.binary(Binary::EqI, x, zero);
        let zeros = self.build.unary(Unary::TrailingZeros, x);
        self.build.select(empty, none, zeros)
    }

    /// Offset and count of a bit field, cut to the word, and whether it is empty.
    fn bit_field(&mut self, offset: Value, count: Value) -> (Value, Value, Value) {
        let (zero, word) = (self.build.u32(0), self.build.u32(32));
        let offset = self.build.binary(Binary::MinU, offset, word);
        let room = self.build.binary(Binary::SubI, word, offset);
        let count = self.build.binary(Binary::MinU, count, room);
        let empty = self.build.binary(Binary::EqI, count, zero);
        (offset, count, empty)
    }

    /// Shifts the field up against the top and back down, with its sign if it has one.
    fn extract_bits(&mut self, x: Value, offset: Value, count: Value) -> Value {
        let ty = self.build.ty(x);
        let (offset, count, empty) = self.bit_field(offset, count);
        let word = self.build.u32(32);
        let down = self.build.binary(Binary::SubI, word, count);
        let up = self.build.binary(Binary::SubI, down, offset);
        let top = self.build.binary(Binary::ShlI, x, up);
        let op = if ty == Ty::I32 { Binary::ShrI } else { Binary::ShrU };
        let field = self.build.binary(op, top, down);
        let zero = self.build.zero(ty);
        self.build.select(empty, zero, field)
    }

    fn insert_bits(&mut self, x: Value, bits: Value, offset: Value, count: Value) -> Value {
        let ty = self.build.ty(x);
        let (offset, count, empty) = self.bit_field(offset, count);
        let (word, ones) = (self.build.u32(32), self.build.u32(u32::MAX));
        let down = self.build.binary(Binary::SubI, word, count);
        let mask = self.build.binary(Binary::ShrU, ones, down);
        let mask = self.build.binary(Binary::ShlI, mask, offset);
        let mask = self.build.unary_to(ty, Unary::Bitcast, mask);
        let others = self.build.unary(Unary::NotI, mask);
        let kept = self.build.binary(Binary::AndI, x, others);
        let field = self.build.binary(Binary::ShlI, bits, offset);
        let field = self.build.binary(Binary::AndI, field, mask);
        let inserted = self.build.binary(Binary::OrI, kept, field);
        self.build.select(empty, x, inserted)
    }

    /// `sqrt(x·x)`, and `|x|` of a scalar.
    fn length(&mut self, x: &[Value]) -> Value {
        match *x {
            [x] => self.build.unary(Unary::AbsF, x),
            _ => {
                let square = self.dot(x, x);
                self.build.unary(Unary::SqrtF, square)
            }
        }
    }

    fn cross(&mut self, a: &[Value], b: &[Value]) -> Vals {
        [(1, 2), (2, 0), (0, 1)]
            .into_iter()
            .map(|(i, j)| {
                let plus = self.build.binary(Binary::MulF, a[i], b[j]);
                let minus = self.build.binary(Binary::MulF, a[j], b[i]);
                self.build.binary(Binary::SubF, plus, minus)
            })
            .collect()
    }

    /// `k = 1 - r² (1 - (n·x)²)`; 0 where `k < 0`, else `r x - (r (n·x) + √k) n`.
    fn refract(&mut self, x: &[Value], normal: &[Value], ratio: Value) -> Vals {
        let (zero, one) = (self.build.f32(0.0), self.build.f32(1.0));
        let along = self.dot(normal, x);
        let square = self.build.binary(Binary::MulF, along, along);
        let across = self.build.binary(Binary::SubF, one, square);
        let ratios = self.build.binary(Binary::MulF, ratio, ratio);
        let bent = self.build.binary(Binary::MulF, ratios, across);
        let k = self.build.binary(Binary::SubF, one, bent);
        let total = self.build.binary(Binary::LtF, k, zero);
        let root = self.build.unary(Unary::SqrtF, k);
        let scaled = self.build.binary(Binary::MulF, ratio, along);
        let factor = self.build.binary(Binary::AddF, scaled, root);
        self.each2(x, normal, |l, x, normal| {
            let through = l.build.binary(Binary::MulF, ratio, x);
            let back = l.build.binary(Binary::MulF, factor, normal);
            let refracted = l.build.binary(Binary::SubF, through, back);
            l.build.select(total, zero, refracted)
        })
    }

    /// `a * d - b * c`.
    fn minor(&mut self, a: Value, d: Value, b: Value, c: Value) -> Value {
        let plus = self.build.binary(Binary::MulF, a, d);
        let minus = self.build.binary(Binary::MulF, b, c);
        self.build.binary(Binary::SubF, plus, minus)
    }

    /// Of a square matrix, by its first column (2, 3) or by pairs of columns (4).
    fn determinant(&mut self, m: &[Value], size: usize) -> Value {
        let at = |column: usize, row: usize| m[column * size + row];
        match size {
            2 => self.minor(at(0, 0), at(1, 1), at(1, 0), at(0, 1)),
            3 => {
                let minors =
                    [(1, 2), (2, 0), (0, 1)].map(|(i, j)| self.minor(at(1, i), at(2, j), at(2, i), at(1, j)));
                self.dot(&m[..3], &minors)
            }
            _ => {
                // Rows of the two-row minors of columns 0 and 1, with their complements in columns 2 and 3.
                let pairs =
                    [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 2, 0), (2, 3, 0, 1)];
                let left = pairs.map(|(i, j, _, _)| self.minor(at(0, i), at(1, j), at(1, i), at(0, j)));
                let right = pairs.map(|(_, _, i, j)| self.minor(at(2, i), at(3, j), at(3, i), at(2, j)));
                self.dot(&left, &right)
            }
        }
    }

    /// `⌊0.5 + scale * clamp(x, low, 1)⌋` of each component, `bits` wide, first component lowest.
    pub(super) fn pack_normalised(&mut self, x: &[Value], bits: u32, low: f32, scale: f32) -> Vals {
        let (low, one) = (self.build.f32(low), self.build.f32(1.0));
        let (half, scale) = (self.build.f32(0.5), self.build.f32(scale));
        let words = self.each(x, |l, x| {
            let clamped = l.clamp(x, low, one);
            let scaled = l.build.binary(Binary::MulF, scale, clamped);
            let moved = l.build.binary(Binary::AddF, half, scaled);
            let whole = l.build.unary(Unary::FloorF, moved);
            let number = l.build.unary_to(Ty::I32, Unary::F32ToI32, whole);
            l.build.unary_to(Ty::U32, Unary::Bitcast, number)
        });
        self.pack(&words, bits)
    }

    /// Floats as f16, first one lowest.
    pub(super) fn pack_halves(&mut self, x: &[Value]) -> Vals {
        let halves = self.each(x, |l, x| l.build.unary_to(Ty::U32, Unary::F32ToF16, x));
        self.pack(&halves, 16)
    }

    /// Integers, `bits` wide, the nearest one that fits, first one lowest.
    pub(super) fn pack_clamped(&mut self, x: &[Value], bits: u32, (low, high): (i32, i32)) -> Vals {
        let words = self.each(x, |l, x| {
            let ty = l.build.ty(x);
            let low = l.build.constant(ty, low.cast_unsigned());
            let high = l.build.constant(ty, high.cast_unsigned());
            let clamped = l.clamp(x, low, high);
            l.build.unary_to(Ty::U32, Unary::Bitcast, clamped)
        });
        self.pack(&words, bits)
    }

    /// The low `bits` of each word, first one lowest.
    fn pack(&mut self, words: &[Value], bits: u32) -> Vals {
        let mask = self.build.u32((1 << bits) - 1);
        let mut packed: Option<Value> = None;
        for (at, &word) in (0..).zip(words) {
            let field = self.build.binary(Binary::AndI, word, mask);
            let shift = self.build.u32(at * bits);
            packed = Some(match packed {
                None => field,
                Some(packed) => {
                    let field = self.build.binary(Binary::ShlI, field, shift);
                    self.build.binary(Binary::OrI, packed, field)
                }
            });
        }
        packed.into_iter().collect()
    }

    /// Fields of `bits` bits, lowest first, with their sign if `ty` has one.
    pub(super) fn unpack(&mut self, word: Value, bits: u32, ty: Ty) -> Vals {
        let word = self.build.unary_to(ty, Unary::Bitcast, word);
        let down = self.build.u32(32 - bits);
        let op = if ty == Ty::I32 { Binary::ShrI } else { Binary::ShrU };
        (1..=32 / bits)
            .map(|at| {
                let up = self.build.u32(32 - at * bits);
                let top = self.build.binary(Binary::ShlI, word, up);
                self.build.binary(op, top, down)
            })
            .collect()
    }

    /// `max(field / scale, -1)`; unsigned fields are never below.
    pub(super) fn unpack_normalised(&mut self, word: Value, bits: u32, ty: Ty, scale: f32) -> Vals {
        let fields = self.unpack(word, bits, ty);
        let (scale, low) = (self.build.f32(scale), self.build.f32(-1.0));
        self.each(&fields, |l, field| {
            let op = if ty == Ty::I32 { Unary::I32ToF32 } else { Unary::U32ToF32 };
            let number = l.build.unary_to(Ty::F32, op, field);
            let number = l.build.binary(Binary::DivF, number, scale);
            if ty == Ty::I32 { l.build.binary(Binary::MaxF, number, low) } else { number }
        })
    }
}

/// A component, or the only scalar.
fn component(values: &[Value], at: usize) -> Value {
    values[if values.len() == 1 { 0 } else { at }]
}

fn rows(inner: &TypeInner) -> usize {
    match *inner {
        TypeInner::Matrix { rows, .. } => rows as usize,
        _ => 1,
    }
}

/// The functions that are one operation of the IR on each component.
fn float_unary(function: MathFunction) -> Option<Unary> {
    use MathFunction as Fun;
    Some(match function {
        Fun::Cos => Unary::Cos,
        Fun::Cosh => Unary::Cosh,
        Fun::Sin => Unary::Sin,
        Fun::Sinh => Unary::Sinh,
        Fun::Tan => Unary::Tan,
        Fun::Tanh => Unary::Tanh,
        Fun::Acos => Unary::Acos,
        Fun::Asin => Unary::Asin,
        Fun::Atan => Unary::Atan,
        Fun::Asinh => Unary::Asinh,
        Fun::Acosh => Unary::Acosh,
        Fun::Atanh => Unary::Atanh,
        Fun::Ceil => Unary::CeilF,
        Fun::Floor => Unary::FloorF,
        Fun::Round => Unary::RoundF,
        Fun::Trunc => Unary::TruncF,
        Fun::Exp => Unary::Exp,
        Fun::Exp2 => Unary::Exp2,
        Fun::Log => Unary::Log,
        Fun::Log2 => Unary::Log2,
        Fun::Sqrt => Unary::SqrtF,
        Fun::InverseSqrt => Unary::InverseSqrt,
        _ => return None,
    })
}
