//! Expressions of a type. None is a constant as a whole: WGSL refuses constants that overflow, so literals stand on the right of
//! something that is none.

use super::{BOOL, F32, I32, Kind, Type, U32, Variable, Writer};

const SCALARS: [&str; 4] = ["x", "y", "z", "w"];

impl Writer<'_> {
    /// An expression.
    pub(super) fn expression(&mut self, ty: &Type, depth: usize) -> String {
        if depth == 0 || self.is_out() || self.below(6) == 0 {
            return self.leaf(ty);
        }
        if self.below(8) == 0
            && let Some(call) = self.call(ty, depth - 1)
        {
            return call;
        }
        let depth = depth - 1;
        match ty {
            Type::Scalar(Kind::Bool) => self.bool(depth),
            Type::Scalar(Kind::F32) => self.float(depth),
            Type::Scalar(kind) => self.integer(*kind, depth),
            Type::Vector(n, kind) => self.vector(*n, *kind, depth),
            Type::Matrix(columns, rows) => self.matrix(*columns, *rows, depth),
            Type::Array(of, n) => {
                let parts: Vec<String> = (0..*n).map(|_| self.expression(of, depth)).collect();
                format!("{}({})", ty.name(), parts.join(", "))
            }
            Type::Struct(at) => {
                let fields = self.structs[*at].clone();
                let parts: Vec<String> = fields.iter().map(|field| self.expression(field, depth)).collect();
                format!("S{at}({})", parts.join(", "))
            }
        }
    }

    /// What is there already, or is made of it.
    fn leaf(&mut self, ty: &Type) -> String {
        for _ in 0..3 {
            if let Some(place) = self.place(ty, false) {
                return place;
            }
        }
        match ty {
            Type::Scalar(kind) => kind.global().to_owned(),
            Type::Vector(_, kind) => format!("{}({})", ty.name(), self.leaf(&Type::Scalar(*kind))),
            Type::Matrix(columns, rows) => {
                let column = Type::Vector(*rows, Kind::F32);
                let parts: Vec<String> = (0..*columns).map(|_| self.leaf(&column)).collect();
                format!("{}({})", ty.name(), parts.join(", "))
            }
            Type::Array(of, n) => {
                let parts: Vec<String> = (0..*n).map(|_| self.leaf(of)).collect();
                format!("{}({})", ty.name(), parts.join(", "))
            }
            Type::Struct(at) => {
                let fields = self.structs[*at].clone();
                let parts: Vec<String> = fields.iter().map(|field| self.leaf(field)).collect();
                format!("S{at}({})", parts.join(", "))
            }
        }
    }

    /// A variable or a part of one.
    pub(super) fn place(&mut self, ty: &Type, write: bool) -> Option<String> {
        let fits: Vec<Variable> = self
            .vars
            .iter()
            .filter(|var| (var.mutable || !write) && self.holds(&var.ty, ty, write))
            .cloned()
            .collect();
        if fits.is_empty() {
            return None;
        }
        // The latest more often.
        let at = self.below(fits.len().min(6));
        let var = &fits[fits.len() - 1 - at];
        let wild = self.is_wild() && !var.name.starts_with("state");
        let outer = std::mem::replace(&mut self.wild_indices, wild);
        self.indices += 1;
        let part = self.part(var.name.clone(), &var.ty, ty, write);
        self.indices -= 1;
        self.wild_indices = outer;
        Some(part)
    }

    fn holds(&self, whole: &Type, part: &Type, write: bool) -> bool {
        whole == part
            || match whole {
                Type::Scalar(_) => false,
                Type::Vector(_, kind) => match part {
                    Type::Scalar(one) => one == kind,
                    // A swizzle.
                    Type::Vector(_, one) => one == kind && !write,
                    _ => false,
                },
                Type::Matrix(_, rows) => self.holds(&Type::Vector(*rows, Kind::F32), part, write),
                Type::Array(of, _) => self.holds(of, part, write),
                Type::Struct(at) => self.structs[*at].iter().any(|field| self.holds(field, part, write)),
            }
    }

    fn part(&mut self, name: String, whole: &Type, part: &Type, write: bool) -> String {
        if whole == part {
            return name;
        }
        match (whole, part) {
            (Type::Vector(n, _), Type::Vector(m, _)) => {
                let swizzle: String = (0..*m).map(|_| SCALARS[self.below(usize::from(*n))]).collect();
                format!("{name}.{swizzle}")
            }
            (Type::Vector(n, _), _) => {
                if self.below(2) == 0 {
                    let at = self.below(usize::from(*n));
                    format!("{name}.{}", SCALARS[at])
                } else {
                    format!("{name}[{}]", self.index(*n))
                }
            }
            (Type::Matrix(columns, rows), _) => {
                let index = self.index(*columns);
                self.part(format!("{name}[{index}]"), &Type::Vector(*rows, Kind::F32), part, write)
            }
            (Type::Array(of, n), _) => {
                let index = self.index(*n);
                self.part(format!("{name}[{index}]"), of, part, write)
            }
            (Type::Struct(at), _) => {
                let fields = self.structs[*at].clone();
                let fits: Vec<usize> =
                    (0..fields.len()).filter(|&field| self.holds(&fields[field], part, write)).collect();
                let field = fits[self.below(fits.len())];
                self.part(format!("{name}.f{field}"), &fields[field], part, write)
            }
            (Type::Scalar(_), _) => unreachable!("a scalar has no parts"),
        }
    }

    /// An index below `n`. In the wild anything at all, but for what is beside words of other invocations.
    fn index(&mut self, n: u8) -> String {
        let which = if self.indices > 4 { 0 } else { self.below(8) };
        match which {
            0..3 => self.below(usize::from(n)).to_string(),
            3 if self.wild_indices => self.expression(&I32, 1),
            4 if self.wild_indices => self.expression(&U32, 1),
            _ => format!("{} % {n}u", self.expression(&U32, 1)),
        }
    }

    fn literal(&mut self, kind: Kind) -> String {
        let at = self.below(10);
        match kind {
            Kind::Bool => ["true", "false"][at % 2].to_owned(),
            Kind::I32 => {
                ["1", "2", "-1", "7", "3", "2147483647", "-5", "16", "255", "-2147483647"][at].to_owned()
                    + "i"
            }
            Kind::U32 => {
                ["1", "2", "3", "31", "4", "4294967295", "32", "2147483648", "255", "5"][at].to_owned() + "u"
            }
            Kind::F32 if self.is_wild() => {
                ["1.0", "-0.0", "0.5", "1e30", "-3.75", "1e-40", "0.1", "2.0", "-1.0", "3e9"][at].to_owned()
            }
            Kind::F32 => {
                ["1.0", "0.0", "2.0", "-1.0", "3.0", "5.0", "-7.0", "16.0", "100.0", "-2.0"][at].to_owned()
            }
        }
    }

    /// The right side of something whose left side is no constant.
    fn right(&mut self, kind: Kind, depth: usize) -> String {
        if self.below(4) == 0 { self.literal(kind) } else { self.expression(&Type::Scalar(kind), depth) }
    }

    fn bool(&mut self, depth: usize) -> String {
        match self.below(8) {
            0 => {
                let op = ["&&", "||", "&", "|", "==", "!="][self.below(6)];
                let (a, b) = (self.expression(&BOOL, depth), self.right(Kind::Bool, depth));
                format!("({a} {op} {b})")
            }
            1 => format!("!{}", self.expression(&BOOL, depth)),
            2 => {
                let ty = Type::Vector(2 + self.below(3) as u8, Kind::Bool);
                let what = ["all", "any"][self.below(2)];
                format!("{what}({})", self.expression(&ty, depth))
            }
            _ => {
                let kind = Kind::NUMBERS[self.below(3)];
                let op = ["<", "<=", ">", ">=", "==", "!="][self.below(6)];
                let (a, b) = (self.expression(&Type::Scalar(kind), depth), self.right(kind, depth));
                format!("({a} {op} {b})")
            }
        }
    }

    fn integer(&mut self, kind: Kind, depth: usize) -> String {
        let ty = Type::Scalar(kind);
        let name = kind.name();
        match self.below(16) {
            0..6 => {
                let op = ["+", "-", "*", "/", "%", "&", "|", "^"][self.below(8)];
                let (a, b) = (self.expression(&ty, depth), self.right(kind, depth));
                format!("({a} {op} {b})")
            }
            6 => {
                let op = ["<<", ">>"][self.below(2)];
                let (a, b) = (self.expression(&ty, depth), self.expression(&U32, depth));
                if self.below(2) == 0 {
                    format!("({a} {op} {}u)", self.below(32))
                } else {
                    format!("({a} {op} ({b} & 31u))")
                }
            }
            7 => {
                let one = [
                    "~",
                    "abs",
                    "countOneBits",
                    "reverseBits",
                    "countLeadingZeros",
                    "countTrailingZeros",
                    "firstLeadingBit",
                    "firstTrailingBit",
                ][self.below(8)];
                format!("{one}({})", self.expression(&ty, depth))
            }
            8 => {
                let two = ["min", "max"][self.below(2)];
                let (a, b) = (self.expression(&ty, depth), self.right(kind, depth));
                format!("{two}({a}, {b})")
            }
            9 => {
                let (a, b, c) =
                    (self.expression(&ty, depth), self.expression(&ty, depth), self.expression(&BOOL, depth));
                format!("select({a}, {b}, {c})")
            }
            10 => match self.below(3) {
                0 => format!("{name}({})", self.expression(&BOOL, depth)),
                1 if kind == Kind::U32 => format!("u32(abs({}))", self.expression(&F32, depth)),
                1 => format!("i32({})", self.expression(&F32, depth)),
                _ => {
                    let other = if kind == Kind::U32 { I32 } else { U32 };
                    let how = ["bitcast<".to_owned() + name + ">", name.to_owned()][self.below(2)].clone();
                    format!("{how}({})", self.expression(&other, depth))
                }
            },
            11 => {
                let ty = Type::Vector(2 + self.below(3) as u8, kind);
                let (a, b) = (self.expression(&ty, depth), self.expression(&ty, depth));
                format!("dot({a}, {b})")
            }
            12 => {
                let a = self.expression(&ty, depth);
                let (low, high) = (self.below(9), 9 + self.below(90));
                let suffix = if kind == Kind::U32 { "u" } else { "i" };
                format!("clamp({a}, {low}{suffix}, {high}{suffix})")
            }
            13 => {
                let (a, offset, count) =
                    (self.expression(&ty, depth), self.expression(&U32, depth), self.expression(&U32, depth));
                // GPUs need what WGSL need not: fields that end inside the word.
                if self.below(2) == 0 {
                    format!("extractBits({a}, {offset} % 16u, {count} % 17u)")
                } else {
                    let b = self.expression(&ty, depth);
                    format!("insertBits({a}, {b}, {offset} % 16u, {count} % 17u)")
                }
            }
            14 if kind == Kind::U32 => match self.below(3) {
                0 => format!("input[{} % 1024u]", self.expression(&U32, depth)),
                1 if self.is_wild() => format!("input[{}]", self.expression(&U32, depth)),
                _ => ["me", "lane", "arrayLength(&input)", "uni.c"][self.below(4)].to_owned(),
            },
            15 if kind == Kind::U32 && self.is_wild() => match self.below(4) {
                0 => format!("bitcast<u32>({})", self.kept(depth)),
                1 => format!("u32({})", self.kept(depth)),
                2 => format!("pack4x8snorm({})", self.expression(&Type::Vector(4, Kind::F32), depth)),
                _ => format!("pack2x16float({})", self.expression(&Type::Vector(2, Kind::F32), depth)),
            },
            _ => {
                let minus = if kind == Kind::I32 { "-" } else { "~" };
                format!("({minus}{})", self.expression(&ty, depth))
            }
        }
    }

    /// A float that is not NaN.
    fn kept(&mut self, depth: usize) -> String {
        format!("q1({})", self.expression(&F32, depth))
    }

    fn float(&mut self, depth: usize) -> String {
        let a = self.expression(&F32, depth);
        let inner = match self.below(14) {
            0..4 => {
                let ops: &[&str] = if self.is_wild() { &["+", "-", "*", "/", "%"] } else { &["+", "-", "*"] };
                let op = ops[self.below(ops.len())];
                format!("{a} {op} {}", self.right(Kind::F32, depth))
            }
            4 | 5 => {
                let op = ["+", "-"][self.below(2)];
                let (b, c) = (self.right(Kind::F32, depth), self.right(Kind::F32, depth));
                format!("{a} * {b} {op} {c}")
            }
            6 => {
                let one = ["-", "abs", "sign", "floor", "ceil", "round", "trunc"][self.below(7)];
                format!("{one}({a})")
            }
            7 => {
                let two = ["min", "max", "step"][self.below(3)];
                format!("{two}({a}, {})", self.right(Kind::F32, depth))
            }
            8 => {
                let (b, c) = (self.expression(&F32, depth), self.expression(&BOOL, depth));
                format!("select({a}, {b}, {c})")
            }
            9 => format!("f32({} % 251i)", self.expression(&I32, depth)),
            10 => format!("f32({} % 251u)", self.expression(&U32, depth)),
            11 => {
                let ty = Type::Vector(2 + self.below(3) as u8, Kind::F32);
                let (a, b) = (self.expression(&ty, depth), self.expression(&ty, depth));
                format!("dot({a}, {b})")
            }
            12 if self.is_wild() => {
                let one = ["sqrt", "exp", "log2", "sin", "atan", "tanh", "inverseSqrt", "fract", "saturate"]
                    [self.below(9)];
                format!("{one}({a})")
            }
            13 if self.is_wild() => match self.below(5) {
                0 => format!("pow({a}, {})", self.right(Kind::F32, depth)),
                1 => format!("fma({a}, {}, {})", self.right(Kind::F32, depth), self.right(Kind::F32, depth)),
                2 => format!("frexp({a}).fract"),
                3 => format!("length(vec2({a}, {}))", self.right(Kind::F32, depth)),
                _ => format!("bitcast<f32>({})", self.expression(&U32, depth)),
            },
            _ => format!("f32({})", self.expression(&BOOL, depth)),
        };
        format!("q1({inner})")
    }

    fn vector(&mut self, n: u8, kind: Kind, depth: usize) -> String {
        let ty = Type::Vector(n, kind);
        let scalar = Type::Scalar(kind);
        if self.below(3) == 0 {
            // A constructor, of scalars or of a shorter one.
            let mut parts = Vec::new();
            let mut left = n;
            while left > 0 {
                if left > 1 && left < n && self.below(3) == 0 {
                    parts.push(self.expression(&Type::Vector(left, kind), depth));
                    left = 0;
                } else {
                    parts.push(self.expression(&scalar, depth));
                    left -= 1;
                }
            }
            return format!("{}({})", ty.name(), parts.join(", "));
        }
        let a = self.expression(&ty, depth);
        match kind {
            Kind::Bool => match self.below(3) {
                0 => format!("!{a}"),
                1 => format!("({a} {} {})", ["&", "|"][self.below(2)], self.expression(&ty, depth)),
                _ => {
                    let numbers = Type::Vector(n, Kind::NUMBERS[self.below(3)]);
                    let op = ["<", "<=", ">", ">=", "==", "!="][self.below(6)];
                    let (a, b) = (self.expression(&numbers, depth), self.expression(&numbers, depth));
                    format!("({a} {op} {b})")
                }
            },
            Kind::F32 => {
                let inner = match self.below(7) {
                    0 => format!("{a} * {}", self.expression(&scalar, depth)),
                    1 => {
                        let columns = 2 + self.below(3) as u8;
                        let m = self.expression(&Type::Matrix(columns, n), depth);
                        format!("{m} * {}", self.expression(&Type::Vector(columns, Kind::F32), depth))
                    }
                    2 => {
                        let rows = 2 + self.below(3) as u8;
                        let v = self.expression(&Type::Vector(rows, Kind::F32), depth);
                        format!("{v} * {}", self.expression(&Type::Matrix(n, rows), depth))
                    }
                    3 if n == 3 => format!("cross({a}, {})", self.expression(&ty, depth)),
                    4 => {
                        let cond = self.expression(&Type::Vector(n, Kind::Bool), depth);
                        format!("select({a}, {}, {cond})", self.expression(&ty, depth))
                    }
                    5 => format!("min({a}, {})", self.expression(&ty, depth)),
                    _ => {
                        let op = ["+", "-", "*"][self.below(3)];
                        format!("{a} {op} {}", self.expression(&ty, depth))
                    }
                };
                format!("q{n}({inner})")
            }
            _ => match self.below(6) {
                0 => format!("({a} {} {})", ["+", "*", "-"][self.below(3)], self.right(kind, depth)),
                1 => {
                    let by = self.expression(&Type::Vector(n, Kind::U32), depth);
                    format!("({a} {} ({by} & vec{n}(31u)))", ["<<", ">>"][self.below(2)])
                }
                2 => format!("{}({a}, {})", ["min", "max"][self.below(2)], self.expression(&ty, depth)),
                3 => {
                    let other = Type::Vector(n, if kind == Kind::I32 { Kind::U32 } else { Kind::I32 });
                    format!("{}({})", ty.name(), self.expression(&other, depth))
                }
                4 => {
                    let cond = self.expression(&Type::Vector(n, Kind::Bool), depth);
                    format!("select({a}, {}, {cond})", self.expression(&ty, depth))
                }
                _ => {
                    let op = ["+", "-", "*", "/", "%", "&", "|", "^"][self.below(8)];
                    format!("({a} {op} {})", self.expression(&ty, depth))
                }
            },
        }
    }

    fn matrix(&mut self, columns: u8, rows: u8, depth: usize) -> String {
        let ty = Type::Matrix(columns, rows);
        let inner = match self.below(5) {
            0 => {
                let column = Type::Vector(rows, Kind::F32);
                let parts: Vec<String> = (0..columns).map(|_| self.expression(&column, depth)).collect();
                return format!("{}({})", ty.name(), parts.join(", "));
            }
            1 => return format!("transpose({})", self.expression(&Type::Matrix(rows, columns), depth)),
            2 => {
                let between = 2 + self.below(3) as u8;
                let a = self.expression(&Type::Matrix(between, rows), depth);
                format!("{a} * {}", self.expression(&Type::Matrix(columns, between), depth))
            }
            3 => format!("{} * {}", self.expression(&ty, depth), self.expression(&F32, depth)),
            _ => {
                let a = self.expression(&ty, depth);
                format!("{a} {} {}", ["+", "-"][self.below(2)], self.expression(&ty, depth))
            }
        };
        format!("q{columns}{rows}({inner})")
    }
}
