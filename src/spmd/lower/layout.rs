//! Types as sequences of scalars: how many, and at which word, in a buffer and in a variable.

use naga::{ArraySize, Handle, ScalarKind, Type, TypeInner};

use super::super::ir::Ty;

/// Struct types within struct types that are followed; WGSL promises 15.
const MAX_DEPTH: u16 = 64;

/// Facts of every type of a module.
pub(super) struct Types {
    facts: Vec<Facts>,
}

struct Facts {
    /// Scalars in all, saturating; a runtime-sized array counts as none.
    leaves: u32,
    depth: u16,
}

/// The IR's type for a naga scalar, if it has one.
pub(super) fn lane(scalar: naga::Scalar) -> Option<Ty> {
    match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 4) => Some(Ty::F32),
        (ScalarKind::Sint, 4) => Some(Ty::I32),
        (ScalarKind::Uint, 4) => Some(Ty::U32),
        (ScalarKind::Bool, _) => Some(Ty::Bool),
        _ => None,
    }
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
    /// Words from one to the next.
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
        Facts { leaves: self.leaves(inner), depth: below.map_or(0, |depth| depth.saturating_add(1)) }
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

    /// Elements of what can be indexed with a number, in a buffer (`host`) or packed.
    pub(super) fn elements(&self, inner: &TypeInner, host: bool) -> Option<Elements> {
        Some(match *inner {
            TypeInner::Vector { size, .. } => Elements { stride: 1, count: Some(size as u32) },
            TypeInner::Matrix { columns, rows, .. } => {
                Elements { stride: column_stride(rows, host), count: Some(columns as u32) }
            }
            TypeInner::Array { base, size, stride } => Elements {
                stride: if host { stride / 4 } else { self.leaves_of(base) },
                count: match size {
                    ArraySize::Constant(count) => Some(count.get()),
                    ArraySize::Dynamic | ArraySize::Pending(_) => None,
                },
            },
            _ => return None,
        })
    }

    /// Words before a member or constant element.
    pub(super) fn offset(&self, inner: &TypeInner, index: u32, host: bool) -> Option<u32> {
        if let TypeInner::Struct { members, .. } = inner {
            return if host {
                Some(members.get(index as usize)?.offset / 4)
            } else {
                Some(
                    members[..index as usize]
                        .iter()
                        .fold(0, |sum: u32, m| sum.saturating_add(self.leaves_of(m.ty))),
                )
            };
        }
        index.checked_mul(self.elements(inner, host)?.stride)
    }

    /// The word and lane type of every scalar, in order, or what stands in the way.
    pub(super) fn scalars(
        &self,
        module: &naga::Module,
        inner: &TypeInner,
        host: bool,
    ) -> Result<Vec<(u32, Ty)>, String> {
        let mut found = Vec::with_capacity(self.leaves(inner) as usize);
        self.collect(module, inner, host, 0, &mut found)?;
        Ok(found)
    }

    fn collect(
        &self,
        module: &naga::Module,
        inner: &TypeInner,
        host: bool,
        at: u32,
        found: &mut Vec<(u32, Ty)>,
    ) -> Result<(), String> {
        let lane = |scalar| lane(scalar).ok_or_else(|| describe(scalar));
        match *inner {
            TypeInner::Scalar(scalar) => found.push((at, lane(scalar)?)),
            TypeInner::Vector { size, scalar } => {
                let ty = lane(scalar)?;
                found.extend((0..size as u32).map(|i| (at + i, ty)));
            }
            TypeInner::Matrix { columns, rows, scalar } => {
                let (ty, stride) = (lane(scalar)?, column_stride(rows, host));
                for column in 0..columns as u32 {
                    found.extend((0..rows as u32).map(|row| (at + column * stride + row, ty)));
                }
            }
            TypeInner::Array { base, size: ArraySize::Constant(count), stride } => {
                let stride = if host { stride / 4 } else { self.leaves_of(base) };
                let facts = &self.facts[base.index()];
                if facts.depth > MAX_DEPTH {
                    return Err(format!("types nested more than {MAX_DEPTH} levels deep"));
                }
                for i in 0..count.get() {
                    self.collect(module, &module.types[base].inner, host, at + i * stride, found)?;
                }
            }
            TypeInner::Struct { ref members, .. } => {
                let mut packed = 0;
                for member in members {
                    if self.facts[member.ty.index()].depth > MAX_DEPTH {
                        return Err(format!("types nested more than {MAX_DEPTH} levels deep"));
                    }
                    let offset = if host { member.offset / 4 } else { packed };
                    self.collect(module, &module.types[member.ty].inner, host, at + offset, found)?;
                    packed += self.leaves_of(member.ty);
                }
            }
            TypeInner::Atomic(_) => return Err("atomics".into()),
            ref other => return Err(format!("a value of the type {other:?}")),
        }
        Ok(())
    }
}

/// Words from one column of a matrix to the next.
fn column_stride(rows: naga::VectorSize, host: bool) -> u32 {
    match rows {
        naga::VectorSize::Tri if host => 4,
        _ => rows as u32,
    }
}
