//! Closures as loop bodies, for the CPU backends: over `wide` vectors ([`lanes`]), over plain numbers ([`scalar`]), over
//! slices ([`chunk`]). Here is what the three have in common: how a closure becomes a [`Kernel`].
//!
//! Not here: who calls them and on how many threads. A body runs one [`Part`] on the calling thread and knows of nothing else.

use std::fmt;
use std::sync::Arc;

use super::{Field, Inner, Kernel, Memo, Signature};

use crate::cpu::CpuLevel;
use crate::error::{Error, Result};
use crate::part::Part;

pub(crate) mod chunk;
mod elements;
mod form;
pub(super) mod lanes;
pub(super) mod scalar;
#[cfg(test)]
mod tests;

/// A closure of any form, its types forgotten. The signature says what it takes; `launch` has checked that a part fits it.
#[derive(Clone)]
pub(crate) struct Closure {
    form: &'static str,
    run: Arc<Run>,
}

type Run = dyn Fn(CpuLevel, Part<'_>) + Send + Sync;

impl Closure {
    fn new(form: &'static str, run: impl Fn(CpuLevel, Part<'_>) + Send + Sync + 'static) -> Self {
        Self { form, run: Arc::new(run) }
    }

    /// Elements that take no longer than one: the widest vector of the lanes form.
    pub(crate) fn width(&self) -> usize {
        if self.form == <lanes::Lanes as form::Form>::NAME { 16 } else { 1 }
    }

    /// Runs every element of `part` on the calling thread. Every level gives the same bits.
    ///
    /// # Panics
    /// If the closure does; the part's outputs are then partly written.
    pub(crate) fn run(&self, level: CpuLevel, part: Part<'_>) {
        (self.run)(level, part);
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closure").field("form", &self.form).finish_non_exhaustive()
    }
}

/// What a closure's types say: made by the closure traits, opaque outside.
#[derive(Debug)]
pub struct Body {
    signature: Signature,
    closure: Closure,
}

impl Body {
    fn into_kernel(self) -> Kernel {
        Kernel(Arc::new(Inner {
            signature: self.signature,
            wgsl: None,
            closure: Some(self.closure),
            compute: None,
            remembered: Memo::default(),
        }))
    }
}

/// The name of output `k` of `count` where the closure has none: `out`, or `out0`, `out1`, ….
fn default_output(k: usize, count: usize) -> String {
    if count == 1 { "out".to_owned() } else { format!("out{k}") }
}

impl Kernel {
    /// The same kernel with names for the parameters and outputs of its closure, which are `p0`, `p1`, … and `out` (or
    /// `out0`, `out1`, …) otherwise.
    ///
    /// # Errors
    /// [`Error::ArgumentCount`] if there are not exactly as many names as parameters and as outputs,
    /// [`Error::DuplicateName`] if two parameters or two outputs are given the same.
    ///
    /// # Examples
    /// ```
    /// use forall::Kernel;
    ///
    /// let saxpy = Kernel::scalar("saxpy", |a: f32, x: f32, y: f32| a * x + y).named(&["a", "x", "y"], &["out"])?;
    /// assert_eq!(saxpy.signature().params[1].field.name, "x");
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn named(self, params: &[&str], outputs: &[&str]) -> Result<Self> {
        let signature = self.signature();
        count(signature, "parameter names", params.len(), signature.params.iter().map(|p| &p.field))?;
        count(signature, "output names", outputs.len(), signature.outputs.iter())?;
        distinct(signature, "parameters", params)?;
        distinct(signature, "outputs", outputs)?;
        let mut renamed = signature.clone();
        for (param, name) in renamed.params.iter_mut().zip(params) {
            param.field.name = (*name).to_owned();
        }
        for (output, name) in renamed.outputs.iter_mut().zip(outputs) {
            output.name = (*name).to_owned();
        }
        Ok(Self(Arc::new(Inner { signature: renamed, ..Arc::unwrap_or_clone(self.0) })))
    }

    /// A kernel with the bodies of both: the WGSL of `self` runs on the GPU, the closure of `closure` on the CPU. The names are those
    /// of `self`.
    ///
    /// # Errors
    /// [`Error::WrongBody`] unless `self` is made of WGSL alone and `closure` of a closure alone.
    /// [`Error::ArgumentCount`] or [`Error::WrongType`] if the two do not have the same number of parameters and outputs,
    /// of the same types, in the same order. A closure may ask for less freedom than the WGSL (a uniform where the WGSL
    /// takes an element, say): the kernel then takes what both can.
    pub fn with_closure(self, closure: Self) -> Result<Self> {
        self.made_of(WGSL)?;
        closure.made_of(CLOSURE)?;
        let (ours, theirs) = (self.signature(), closure.signature());
        count(ours, "closure parameters", theirs.params.len(), ours.params.iter().map(|p| &p.field))?;
        count(ours, "closure outputs", theirs.outputs.len(), ours.outputs.iter())?;
        let mut signature = ours.clone();
        for (param, other) in signature.params.iter_mut().zip(&theirs.params) {
            same_type(&theirs.name, &param.field, &other.field)?;
            param.takes = param.takes.both(other.takes).ok_or_else(|| Error::WrongType {
                kernel: theirs.name.clone(),
                name: param.field.name.clone(),
                got: format!("a closure parameter that takes {}", other.takes),
                expected: format!("one that takes {}, as in the WGSL", param.takes),
                hint: "take the value in the closure as the WGSL does".to_owned(),
            })?;
        }
        for (output, other) in signature.outputs.iter().zip(&theirs.outputs) {
            same_type(&theirs.name, output, other)?;
        }
        let closure = closure.0.closure.clone();
        Ok(Self(Arc::new(Inner {
            signature,
            closure,
            remembered: Memo::default(),
            ..Arc::unwrap_or_clone(self.0)
        })))
    }

    fn made_of(&self, expected: &'static str) -> Result<()> {
        let got = match (&self.0.wgsl, &self.0.closure) {
            (Some(_), None) => WGSL,
            (Some(_), Some(_)) => "a kernel of WGSL and a closure",
            (None, _) if self.0.compute.is_some() => "a compute shader",
            (None, _) => CLOSURE,
        };
        if got == expected {
            return Ok(());
        }
        Err(Error::WrongBody { kernel: self.name().to_owned(), got, expected })
    }
}

const WGSL: &str = "a kernel of WGSL";
const CLOSURE: &str = "a kernel of a closure";

fn distinct(signature: &Signature, what: &'static str, names: &[&str]) -> Result<()> {
    let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
    twice.map_or(Ok(()), |(_, name)| {
        Err(Error::DuplicateName { kernel: signature.name.clone(), what, name: (*name).to_owned() })
    })
}

fn count<'a>(
    signature: &Signature,
    what: &'static str,
    got: usize,
    fields: impl ExactSizeIterator<Item = &'a Field>,
) -> Result<()> {
    let expected = fields.len();
    if got == expected {
        return Ok(());
    }
    let names = fields.map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
    Err(Error::ArgumentCount { kernel: signature.name.clone(), what, got, expected, names })
}

fn same_type(kernel: &str, ours: &Field, closure: &Field) -> Result<()> {
    if ours.ty == closure.ty {
        return Ok(());
    }
    Err(Error::WrongType {
        kernel: kernel.to_owned(),
        name: ours.name.clone(),
        got: format!("{} in the closure", closure.ty),
        expected: format!("{}, as in the WGSL", ours.ty),
        hint: "write the same type in both".to_owned(),
    })
}
