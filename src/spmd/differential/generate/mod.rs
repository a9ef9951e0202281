//! Valid WGSL out of bytes: whole compute shaders with functions, structs, arrays, pointers, loops, workgroup memory, barriers
//! and atomics, whose results every conforming implementation agrees on.
//!
//! Fewer bytes give a shorter shader. Every loop ends; what invocations share is read behind barriers, or changed by
//! atomics that commute. There are two dialects:
//!
//! * [`Dialect::Portable`]: indices are in bounds and every float is a whole number below 251, so a GPU has the same bits.
//! * [`Dialect::Wild`]: whatever forall gives a meaning to, indices out of bounds, float edges, the order of atomics
//!   in a workgroup, subgroups. No NaN is ever kept in a variable: which NaN it is would be open.
//!
//! It knows nothing of the crate: the test that compares with a GPU includes it by path.

mod expressions;
mod statements;

use std::fmt::Write as _;

/// Which WGSL to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// What every implementation gives the same bits for.
    Portable,
    /// What forall does.
    Wild,
}

/// A shader and how to run it. Its buffers are, by binding: 0 `input`, 1 `table`, 2 `uni` (read), 3 `state`, 4 `out`, 5 `tally`, 6 `board`.
#[derive(Clone, Debug)]
pub(crate) struct Shader {
    /// The WGSL; the entry point is `main`.
    pub(crate) text: String,
    /// `@workgroup_size`.
    pub(crate) size: [u32; 3],
    /// Workgroups to run.
    pub(crate) workgroups: [u32; 3],
    /// Words of the elements of `table` and of `state`.
    pub(crate) elements: [usize; 2],
}

/// Words of the output of each invocation.
pub(crate) const OUT: usize = 8;
/// Words of `input` and of `tally`.
pub(crate) const WORDS: usize = 1024;
/// Words of `uni`.
const UNI: usize = 32;

/// Bytes that stand for a shader.
pub(crate) fn bytes(seed: u64) -> Vec<u8> {
    // Splitmix64, by Steele, Lea and Flood.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as usize
    };
    let length = 400 + next() % 4000;
    (0..length).map(|_| next() as u8).collect()
}

/// `FORALL_FUZZ_SEEDS`: `N` is seeds `0..N`, `A..B` those; without it `few`.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    let number = |text: &str| text.parse().ok();
    match std::env::var("FORALL_FUZZ_SEEDS") {
        Err(_) => 0..few,
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| from..to),
            None => number(&text).map(|to| 0..to),
        }
        .unwrap_or_else(|| panic!("FORALL_FUZZ_SEEDS={text}: expected N or A..B")),
    }
}

impl Shader {
    /// The shader that these bytes stand for.
    pub(crate) fn new(bytes: &[u8], dialect: Dialect) -> Self {
        Writer::new(bytes, dialect).shader()
    }

    /// Invocations in all.
    pub(crate) fn invocations(&self) -> usize {
        self.size.iter().chain(&self.workgroups).map(|n| *n as usize).product()
    }

    /// The words of each buffer before the run, and whether the shader writes to it.
    pub(crate) fn buffers(&self) -> Vec<(Vec<u32>, bool)> {
        // As floats these are small whole numbers, as integers anything.
        let whole = |at: usize| (((at * 37 + 11) % 499) as f32 - 249.0).to_bits();
        let edges = [0, 1, 2, 3, 7, 31, 32, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0x8000_0001, 100];
        let any = |at: usize| {
            edges
                .get(at % 29)
                .copied()
                .unwrap_or_else(|| (at as u32).wrapping_mul(0x9e37_79b9).rotate_left(13))
        };
        let n = self.invocations();
        vec![
            ((0..WORDS).map(any).collect(), false),
            ((0..3 * self.elements[0]).map(whole).collect(), false),
            ((0..UNI).map(|at| whole(at + 5)).collect(), false),
            ((0..n * self.elements[1]).map(|at| whole(at + 3)).collect(), true),
            (vec![0xdead_beef; n * OUT], true),
            ((0..WORDS).map(any).collect(), true),
            (vec![0xdead_beef; n], true),
        ]
    }
}

/// A scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    I32,
    U32,
    F32,
}

impl Kind {
    const NUMBERS: [Self; 3] = [Self::I32, Self::U32, Self::F32];

    fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::F32 => "f32",
        }
    }

    /// The private variable that is always there.
    fn global(self) -> &'static str {
        match self {
            Self::Bool => "gb",
            Self::I32 => "gi",
            Self::U32 => "gu",
            Self::F32 => "gf",
        }
    }
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    Scalar(Kind),
    Vector(u8, Kind),
    /// Columns and rows, of floats.
    Matrix(u8, u8),
    Array(Box<Self>, u8),
    Struct(usize),
}

impl Type {
    fn name(&self) -> String {
        match self {
            Self::Scalar(kind) => kind.name().to_owned(),
            Self::Vector(n, kind) => format!("vec{n}<{}>", kind.name()),
            Self::Matrix(columns, rows) => format!("mat{columns}x{rows}<f32>"),
            Self::Array(of, n) => format!("array<{}, {n}>", of.name()),
            Self::Struct(at) => format!("S{at}"),
        }
    }
}

const U32: Type = Type::Scalar(Kind::U32);
const I32: Type = Type::Scalar(Kind::I32);
const F32: Type = Type::Scalar(Kind::F32);
const BOOL: Type = Type::Scalar(Kind::Bool);

/// Something with a name.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    ty: Type,
    mutable: bool,
}

struct Function {
    name: String,
    params: Vec<(Type, bool)>,
    result: Type,
}

struct Writer<'a> {
    bytes: std::slice::Iter<'a, u8>,
    dialect: Dialect,
    /// The fields of each struct.
    structs: Vec<Vec<Type>>,
    functions: Vec<Function>,
    /// What is in scope.
    vars: Vec<Variable>,
    /// Expressions of type u32 that are the same in all invocations of a workgroup, as naga can see.
    alike: Vec<String>,
    text: String,
    indent: usize,
    names: usize,
    /// Loops around, and what a jump may do: `(continue, break)`.
    loops: usize,
    jumps: Option<(bool, bool)>,
    /// Whether the invocations of the workgroup are here together.
    together: bool,
    /// The type that the function returns; `None` in `main`.
    result: Option<Type>,
    size: [u32; 3],
    /// Whether indices may be out of bounds.
    wild_indices: bool,
    /// Indices around: `a[b[c[…]]]` has an end.
    indices: usize,
}

const SIZES: [[u32; 3]; 8] =
    [[32, 1, 1], [8, 4, 1], [5, 3, 2], [1, 1, 1], [33, 1, 1], [64, 1, 1], [1, 7, 1], [16, 2, 2]];
const WORKGROUPS: [[u32; 3]; 5] = [[2, 1, 1], [1, 1, 1], [2, 2, 1], [1, 2, 2], [5, 1, 1]];

impl<'a> Writer<'a> {
    fn new(bytes: &'a [u8], dialect: Dialect) -> Self {
        Self {
            bytes: bytes.iter(),
            dialect,
            structs: Vec::new(),
            functions: Vec::new(),
            vars: Vec::new(),
            alike: Vec::new(),
            text: String::new(),
            indent: 0,
            names: 0,
            loops: 0,
            jumps: None,
            together: false,
            result: None,
            size: [1; 3],
            wild_indices: false,
            indices: 0,
        }
    }

    fn byte(&mut self) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0))
    }

    fn below(&mut self, n: usize) -> usize {
        self.byte() % n
    }

    fn is_out(&self) -> bool {
        self.bytes.len() == 0
    }

    fn is_wild(&self) -> bool {
        self.dialect == Dialect::Wild
    }

    fn new_name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.text, "{:1$}{2}", "", 4 * self.indent, line.as_ref());
    }

    fn shader(mut self) -> Shader {
        self.size = SIZES[self.below(SIZES.len())];
        let workgroups = WORKGROUPS[self.below(WORKGROUPS.len())];
        self.head();
        let functions = 1 + self.below(3);
        for _ in 0..functions {
            self.function();
        }
        self.main();
        let elements = [0, 1].map(|at| self.layout(&Type::Struct(at)).0 / 4);
        Shader { text: self.text, size: self.size, workgroups, elements }
    }

    /// Size and alignment in a buffer, in bytes, as WGSL lays things out.
    fn layout(&self, ty: &Type) -> (usize, usize) {
        match ty {
            Type::Scalar(_) => (4, 4),
            Type::Vector(n, _) => (4 * usize::from(*n), if *n == 2 { 8 } else { 16 }),
            Type::Matrix(columns, rows) => {
                let align = if *rows == 2 { 8 } else { 16 };
                (usize::from(*columns) * align, align)
            }
            Type::Array(of, n) => {
                let (size, align) = self.layout(of);
                (size.next_multiple_of(align) * usize::from(*n), align)
            }
            Type::Struct(at) => {
                let (mut end, mut most) = (0_usize, 4);
                for field in &self.structs[*at] {
                    let (size, align) = self.layout(field);
                    end = end.next_multiple_of(align) + size;
                    most = most.max(align);
                }
                (end.next_multiple_of(most), most)
            }
        }
    }

    /// A type that can be in a buffer.
    fn data_type(&mut self, depth: usize) -> Type {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            at @ 0..3 => Type::Scalar(Kind::NUMBERS[at]),
            3 | 4 => Type::Vector(2 + self.below(3) as u8, Kind::NUMBERS[self.below(3)]),
            5 => Type::Matrix(2 + self.below(3) as u8, 2 + self.below(3) as u8),
            6 | 7 => Type::Array(Box::new(self.data_type(depth - 1)), 1 + self.below(3) as u8),
            _ if self.structs.is_empty() => U32,
            _ => Type::Struct(self.below(self.structs.len())),
        }
    }

    fn any_type(&mut self) -> Type {
        match self.below(8) {
            0 => BOOL,
            1 => Type::Vector(2 + self.below(3) as u8, Kind::Bool),
            _ => self.data_type(2),
        }
    }

    fn head(&mut self) {
        for at in 0..2 {
            let fields: Vec<Type> = (0..1 + self.below(4)).map(|_| self.data_type(at)).collect();
            self.line(format!("struct S{at} {{"));
            for (field, ty) in fields.iter().enumerate() {
                self.line(format!("    f{field}: {},", ty.name()));
            }
            self.line("}");
            self.structs.push(fields);
        }
        let lanes: u32 = self.size.iter().product();
        self.line(format!(
            "struct Uni {{ a: vec4<f32>, b: vec3<i32>, c: u32, d: mat3x3<f32>, e: array<vec4<u32>, 3> }}
@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read> table: array<S0, 3>;
@group(0) @binding(2) var<uniform> uni: Uni;
@group(0) @binding(3) var<storage, read_write> state: array<S1>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;
@group(0) @binding(5) var<storage, read_write> tally: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read_write> board: array<u32>;
var<workgroup> tile: array<u32, {lanes}>;
var<workgroup> wide: array<S0, {lanes}>;
var<workgroup> one: u32;
var<workgroup> turns: array<atomic<i32>, 5>;
var<private> gb: bool = true;
var<private> gi: i32 = -3;
var<private> gu: u32;
var<private> gf: f32 = 2.0;
var<private> ga: array<i32, 5>;
var<private> me: u32;
var<private> lane: u32;"
        ));
        // What keeps floats small, or NaN out.
        let keep = if self.is_wild() {
            "fn q1(x: f32) -> f32 { return select(x, 0.5, x != x); }"
        } else {
            "fn q1(x: f32) -> f32 { return f32(i32(x) % 251); }"
        };
        self.line(keep);
        self.line("fn q2(v: vec2<f32>) -> vec2<f32> { return vec2(q1(v.x), q1(v.y)); }");
        self.line("fn q3(v: vec3<f32>) -> vec3<f32> { return vec3(q1(v.x), q1(v.y), q1(v.z)); }");
        self.line("fn q4(v: vec4<f32>) -> vec4<f32> { return vec4(q2(v.xy), q2(v.zw)); }");
        for columns in 2..=4 {
            for rows in 2..=4 {
                let parts: Vec<String> = (0..columns).map(|c| format!("q{rows}(m[{c}])")).collect();
                let name = Type::Matrix(columns, rows).name();
                self.line(format!(
                    "fn q{columns}{rows}(m: {name}) -> {name} {{ return {name}({}); }}",
                    parts.join(", ")
                ));
            }
        }
        let global = |name: &str, ty: Type, mutable| Variable { name: name.to_owned(), ty, mutable };
        self.vars = vec![
            global("gb", BOOL, true),
            global("gi", I32, true),
            global("gu", U32, true),
            global("gf", F32, true),
            global("ga", Type::Array(Box::new(I32), 5), true),
            global("table", Type::Array(Box::new(Type::Struct(0)), 3), false),
            global("uni.a", Type::Vector(4, Kind::F32), false),
            global("uni.b", Type::Vector(3, Kind::I32), false),
            global("uni.d", Type::Matrix(3, 3), false),
            global("uni.e", Type::Array(Box::new(Type::Vector(4, Kind::U32)), 3), false),
            global("state[me]", Type::Struct(1), true),
        ];
    }
}
