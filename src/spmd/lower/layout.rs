//! Types as sequences of scalars: how many, and where, in a buffer and in a variable.
//!
//! An f16 is half a word in a buffer. Everywhere else nobody can tell, and it has a word of its own, as the f32 that it is.

use naga::{ArraySize, Handle, ScalarKind, Type, TypeInner};

use super::super::ir::Ty;

/// Struct types within struct types that are followed; WGSL promises 15.
const MAX_DEPTH: u16 = 64;

/// How scalars lie in memory, and so what an offset counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One word for each, without gaps.
    Packed,
    /// WGSL's, in words.
    Words,
    /// WGSL's, in half-words: the type has an f16 somewhere.
    Halves,
}

impl Layout {
    /// WGSL's offset in bytes, by what this counts.
    fn units(self, bytes: u32) -> u32 {
        if self == Self::Halves { bytes / 2 } else { bytes / 4 }
    }

    /// From one scalar to the next.
    fn step(self, scalar: naga::Scalar) -> u32 {
        if self == Self::Packed { 1 } else { self.units(u32::from(scalar.width)) }
    }

    /// From one column of a matrix to the next.
    fn column(self, rows: naga::VectorSize, scalar: naga::Scalar) -> u32 {
        let rows = if self != Self::Packed && rows == naga::VectorSize::Tri { 4 } else { rows as u32 };
        rows * self.step(scalar)
    }
}

/// A scalar of a type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Where it is, by the layout's count.
    pub at: u32,
    pub ty: Ty,
    /// Whether it is an f16 of half a word.
    pub half: bool,
}

/// Facts of every type of a module.
pub(super) struct Types {
    facts: Vec<Facts>,
}

struct Facts {
    /// Scalars in all, saturating; a runtime-sized array counts as none.
    leaves: u32,
    depth: u16,
    /// Whether there is an f16 in it.
    half: bool,
}

/// The IR's type for a naga scalar, if it has one.
pub(super) fn lane(scalar: naga::Scalar) -> Option<Ty> {
    match (scalar.kind, scalar.width) {
        // An f16 is kept as the f32 that it is.
        (ScalarKind::Float, 2 | 4) => Some(Ty::F32),
        (ScalarKind::Sint, 4) => Some(Ty::I32),
        (ScalarKind::Uint, 4) => Some(Ty::U32),
        (ScalarKind::Bool, _) => Some(Ty::Bool),
        _ => None,
    }
}

/// Whether a type's scalars are f16.
pub(super) fn is_half(inner: &TypeInner) -> bool {
    inner.scalar() == Some(naga::Scalar::F16)
}

/// What to call a scalar type that has no lane type.
pub(super) fn describe(scalar: naga::Scalar) -> String {
    let letter = match scalar.kind {
        ScalarKind::Float => "f",
        ScalarKind::Sint => "i",
        ScalarKind::Uint => "u",
        ScalarKind::Bool => "bool",
        ScalarKind::AbstractInt => return "abstract integers at run time".into(),
        ScalarKind::AbstractFloat => return "abstract floats at run time".into(),
    };
    format!("the type {letter}{}", u32::from(scalar.width) * 8)
}

/// Elements of a vector, matrix (its columns) or array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elements {
    /// From one to the next, by the layout's count.
    pub stride: u32,
    /// How many; `None` at run time.
    pub count: Option<u32>,
}

impl Types {
    /// One pass over the module's types; each refers only to earlier ones.
    pub(super) fn new(module: &naga::Module) -> Self {
        let mut types = Self { facts: Vec::with_capacity(module.types.len()) };
        for (_, ty) in module.types.iter() {
            let facts = types.measure(&ty.inner);
            types.facts.push(facts);
        }
        types
    }

    fn measure(&self, inner: &TypeInner) -> Facts {
        let below = match *inner {
            TypeInner::Array { base, .. } => Some(self.facts[base.index()].depth),
            TypeInner::Struct { ref members, .. } => {
                members.iter().map(|member| self.facts[member.ty.index()].depth).max()
            }
            _ => None,
        };
        let half = match *inner {
            TypeInner::Array { base, .. } => self.facts[base.index()].half,
            TypeInner::Struct { ref members, .. } => {
                members.iter().any(|member| self.facts[member.ty.index()].half)
            }
            ref inner => is_half(inner),
        };
        Facts { leaves: self.leaves(inner), depth: below.map_or(0, |depth| depth.saturating_add(1)), half }
    }

    /// How a variable of that type lies in a buffer.
    pub(super) fn in_buffer(&self, ty: Handle<Type>) -> Layout {
        if self.facts[ty.index()].half { Layout::Halves } else { Layout::Words }
    }

    /// How many scalars a value of that type has, saturating.
    pub(super) fn leaves(&self, inner: &TypeInner) -> u32 {
        match *inner {
            TypeInner::Vector { size, .. } => size as u32,
            TypeInner::Matrix { columns, rows, .. } => columns as u32 * rows as u32,
            TypeInner::Array { base, size: ArraySize::Constant(count), .. } => {
                self.facts[base.index()].leaves.saturating_mul(count.get())
            }
            TypeInner::Array { .. } => 0,
            TypeInner::Struct { ref members, .. } => {
                members.iter().fold(0_u32, |sum, m| sum.saturating_add(self.facts[m.ty.index()].leaves))
            }
            _ => 1,
        }
    }

    /// How many scalars a value of that type has, saturating.
    pub(super) fn leaves_of(&self, ty: Handle<Type>) -> u32 {
        self.facts[ty.index()].leaves
    }

    /// Elements of what can be indexed with a number.
    pub(super) fn elements(&self, inner: &TypeInner, layout: Layout) -> Option<Elements> {
        Some(match *inner {
            TypeInner::Vector { size, scalar } => {
                Elements { stride: layout.step(scalar), count: Some(size as u32) }
            }
            TypeInner::Matrix { columns, rows, scalar } => {
                Elements { stride: layout.column(rows, scalar), count: Some(columns as u32) }
            }
            TypeInner::Array { base, size, stride } => Elements {
                stride: self.array_stride(base, stride, layout),
                count: match size {
                    ArraySize::Constant(count) => Some(count.get()),
                    ArraySize::Dynamic | ArraySize::Pending(_) => None,
                },
            },
            _ => return None,
        })
    }

    fn array_stride(&self, base: Handle<Type>, bytes: u32, layout: Layout) -> u32 {
        if layout == Layout::Packed { self.leaves_of(base) } else { layout.units(bytes) }
    }

    /// What lies before a member or constant element.
    pub(super) fn offset(&self, inner: &TypeInner, index: u32, layout: Layout) -> Option<u32> {
        if let TypeInner::Struct { members, .. } = inner {
            return if layout == Layout::Packed {
                let before = &members[..index as usize];
                Some(before.iter().fold(0, |sum: u32, m| sum.saturating_add(self.leaves_of(m.ty))))
            } else {
                Some(layout.units(members.get(index as usize)?.offset))
            };
        }
        index.checked_mul(self.elements(inner, layout)?.stride)
    }

    /// Every scalar in order, or what stands in the way.
    pub(super) fn scalars(
        &self,
        module: &naga::Module,
        inner: &TypeInner,
        layout: Layout,
    ) -> Result<Vec<Slot>, String> {
        let mut found = Vec::with_capacity(self.leaves(inner) as usize);
        self.collect(module, inner, layout, 0, &mut found)?;
        Ok(found)
    }

    fn collect(
        &self,
        module: &naga::Module,
        inner: &TypeInner,
        layout: Layout,
        at: u32,
        found: &mut Vec<Slot>,
    ) -> Result<(), String> {
        let slot = |at, scalar: naga::Scalar| match lane(scalar) {
            Some(ty) => Ok(Slot { at, ty, half: layout == Layout::Halves && scalar.width == 2 }),
            None => Err(describe(scalar)),
        };
        match *inner {
            TypeInner::Scalar(scalar) => found.push(slot(at, scalar)?),
            TypeInner::Vector { size, scalar } => {
                for i in 0..size as u32 {
                    found.push(slot(at + i * layout.step(scalar), scalar)?);
                }
            }
            TypeInner::Matrix { columns, rows, scalar } => {
                for column in 0..columns as u32 {
                    let at = at + column * layout.column(rows, scalar);
                    for row in 0..rows as u32 {
                        found.push(slot(at + row * layout.step(scalar), scalar)?);
                    }
                }
            }
            TypeInner::Array { base, size: ArraySize::Constant(count), stride } => {
                let stride = self.array_stride(base, stride, layout);
                let facts = &self.facts[base.index()];
                if facts.depth > MAX_DEPTH {
                    return Err(format!("types nested more than {MAX_DEPTH} levels deep"));
                }
                for i in 0..count.get() {
                    self.collect(module, &module.types[base].inner, layout, at + i * stride, found)?;
                }
            }
            TypeInner::Struct { ref members, .. } => {
                let mut packed = 0;
                for member in members {
                    if self.facts[member.ty.index()].depth > MAX_DEPTH {
                        return Err(format!("types nested more than {MAX_DEPTH} levels deep"));
                    }
                    let offset = if layout == Layout::Packed { packed } else { layout.units(member.offset) };
                    self.collect(module, &module.types[member.ty].inner, layout, at + offset, found)?;
                    packed += self.leaves_of(member.ty);
                }
            }
            TypeInner::Atomic(_) => return Err("atomics".into()),
            ref other => return Err(format!("a value of the type {other:?}")),
        }
        Ok(())
    }
}
