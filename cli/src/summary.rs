//! What an array holds, in a few lines: its first and last elements, and the range of its numbers.

use std::fmt::{self, Debug};

use forall::ElementType;
use serde_json::{Value, json};

use crate::bind::from_half;
use crate::npy::Number as Kind;

/// Elements shown at each end.
const SHOWN: usize = 3;

/// An array of numbers as JSON values and texts, whatever its type.
#[derive(Debug)]
pub(crate) struct Summary {
    first: Vec<Vec<Number>>,
    /// Empty when `first` is all there is.
    last: Vec<Vec<Number>>,
    /// Smallest, mean and largest of the finite numbers; `None` if there are none.
    range: Option<(Number, f64, Number)>,
    nan: usize,
    infinite: usize,
}

/// One number, as it is shown.
#[derive(Clone, Debug, PartialEq)]
enum Number {
    Float(f32),
    Whole(i64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As short as it can be and still read back as the same number.
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Whole(x) => write!(f, "{x}"),
        }
    }
}

impl Number {
    /// JSON has no NaN and no infinities: they become strings.
    fn json(&self) -> Value {
        match *self {
            Self::Float(x) if x.is_nan() => json!("NaN"),
            Self::Float(x) if x.is_infinite() => json!(if x > 0.0 { "Infinity" } else { "-Infinity" }),
            // Through the shortest decimal: as an f64, 0.1_f32 would be 0.10000000149011612.
            Self::Float(x) => json!(format!("{x:?}").parse::<f64>().unwrap_or(f64::from(x))),
            Self::Whole(x) => json!(x),
        }
    }
}

/// A number of an array: 32 bits, the types WGSL has.
trait Element: bytemuck::Pod + PartialOrd {
    fn number(self) -> Number;
    fn wide(self) -> f64;
}

impl Element for f32 {
    fn number(self) -> Number {
        Number::Float(self)
    }
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Element for i32 {
    fn number(self) -> Number {
        Number::Whole(self.into())
    }
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Element for u32 {
    fn number(self) -> Number {
        Number::Whole(self.into())
    }
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Summary {
    /// Of packed elements of type `ty`.
    pub(crate) fn of(bytes: &[u8], ty: ElementType) -> Self {
        Self::of_file(bytes, ty.scalar.into(), ty.width.into())
    }

    /// Of packed elements of `width` numbers each.
    pub(crate) fn of_file(bytes: &[u8], number: Kind, width: usize) -> Self {
        match number {
            Kind::I32 => Self::of_numbers::<i32>(&words(bytes), width),
            Kind::U32 => Self::of_numbers::<u32>(&words(bytes), width),
            // The numbers of textures are widened: there are few of them.
            Kind::U8 => Self::of_numbers(&bytes.iter().map(|&x| u32::from(x)).collect::<Vec<_>>(), width),
            Kind::I8 => Self::of_numbers(
                &bytes.iter().map(|&x| i32::from(x.cast_signed())).collect::<Vec<_>>(),
                width,
            ),
            Kind::U16 => {
                Self::of_numbers(&words(bytes).iter().map(|&x: &u16| u32::from(x)).collect::<Vec<_>>(), width)
            }
            Kind::I16 => {
                Self::of_numbers(&words(bytes).iter().map(|&x: &i16| i32::from(x)).collect::<Vec<_>>(), width)
            }
            Kind::F16 => {
                Self::of_numbers(&words(bytes).iter().map(|&x| from_half(x)).collect::<Vec<_>>(), width)
            }
            // No output has one of the others.
            Kind::F32 | Kind::F64 | Kind::I64 | Kind::U64 => Self::of_numbers::<f32>(&words(bytes), width),
        }
    }

    fn of_numbers<T: Element>(numbers: &[T], width: usize) -> Self {
        let elements = numbers.len() / width;
        let show =
            |numbers: &[T]| numbers.chunks(width).map(|e| e.iter().map(|x| x.number()).collect()).collect();
        let (first, last) = if elements <= 2 * SHOWN {
            (show(numbers), Vec::new())
        } else {
            (show(&numbers[..SHOWN * width]), show(&numbers[(elements - SHOWN) * width..]))
        };

        let (mut nan, mut infinite, mut finite, mut sum) = (0, 0, 0_usize, 0.0);
        let mut ends: Option<(T, T)> = None;
        for &x in numbers {
            let wide = x.wide();
            if wide.is_finite() {
                finite += 1;
                sum += wide;
                let (low, high) = ends.unwrap_or((x, x));
                ends = Some((if x < low { x } else { low }, if x > high { x } else { high }));
            } else if wide.is_nan() {
                nan += 1;
            } else {
                infinite += 1;
            }
        }
        let range = ends.map(|(low, high)| (low.number(), sum / finite as f64, high.number()));
        Self { first, last, range, nan, infinite }
    }

    /// The members of a JSON object.
    pub(crate) fn json(&self) -> serde_json::Map<String, Value> {
        let elements = |elements: &[Vec<Number>]| -> Value {
            let element = |numbers: &Vec<Number>| match numbers.as_slice() {
                [number] => number.json(),
                numbers => numbers.iter().map(Number::json).collect(),
            };
            elements.iter().map(element).collect()
        };
        let mut out = serde_json::Map::new();
        out.insert("first".into(), elements(&self.first));
        out.insert("last".into(), elements(if self.last.is_empty() { &self.first } else { &self.last }));
        let (min, mean, max) = match &self.range {
            Some((min, mean, max)) => (min.json(), json!(mean), max.json()),
            None => (Value::Null, Value::Null, Value::Null),
        };
        out.insert("min".into(), min);
        out.insert("mean".into(), mean);
        out.insert("max".into(), max);
        out.insert("nan".into(), json!(self.nan));
        out.insert("infinite".into(), json!(self.infinite));
        out
    }
}

/// Bytes as numbers: where they are if they are aligned.
fn words<T: bytemuck::Pod>(bytes: &[u8]) -> std::borrow::Cow<'_, [T]> {
    bytemuck::try_cast_slice(bytes)
        .map_or_else(|_| bytemuck::pod_collect_to_vec(bytes).into(), std::borrow::Cow::Borrowed)
}

/// Two lines: elements, then the range.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements = |elements: &[Vec<Number>]| {
            let element = |numbers: &Vec<Number>| match numbers.as_slice() {
                [number] => number.to_string(),
                numbers => {
                    format!("({})", numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
                }
            };
            elements.iter().map(element).collect::<Vec<_>>().join("  ")
        };
        if self.first.is_empty() {
            return writeln!(f, "  no elements");
        }
        write!(f, "  {}", elements(&self.first))?;
        if !self.last.is_empty() {
            write!(f, "  …  {}", elements(&self.last))?;
        }
        write!(f, "\n  ")?;
        match &self.range {
            // The mean of f32s is shown as one: more digits would say nothing.
            Some((min, mean, max)) => {
                write!(f, "min {min}  mean {}  max {max}", Number::Float(*mean as f32))?;
            }
            None => write!(f, "no finite numbers")?,
        }
        if self.nan > 0 {
            write!(f, "  ({} NaN)", self.nan)?;
        }
        if self.infinite > 0 {
            write!(f, "  ({} infinite)", self.infinite)?;
        }
        writeln!(f)
    }
}
