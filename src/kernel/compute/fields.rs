//! Where the fields of a Rust struct are, to compare with the WGSL struct it is bound to.

use super::{Binding, Content, Layout};
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// Where the fields of a Rust struct are: made by [`fields!`](crate::fields).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    name: &'static str,
    size: usize,
    fields: Vec<(&'static str, usize, usize)>,
}

impl Fields {
    /// For [`fields!`](crate::fields): names, offsets and sizes.
    #[doc(hidden)]
    pub fn new<T>(name: &'static str, fields: Vec<(&'static str, usize, usize)>) -> Self {
        Self { name, size: size_of::<T>(), fields }
    }

    /// For [`fields!`](crate::fields): the size of what `field` gives.
    #[doc(hidden)]
    pub const fn size_of<T, F>(_: &impl Fn(&T) -> &F) -> usize {
        size_of::<F>()
    }
}

/// Where the fields of a Rust struct are, for [`Kernel::check_struct`](crate::Kernel::check_struct): `fields!(Particle { position, mass })`.
#[macro_export]
macro_rules! fields {
    ($name:ident { $($field:ident),* $(,)? }) => {
        $crate::Fields::new::<$name>(
            ::core::stringify!($name),
            ::std::vec![$((
                ::core::stringify!($field),
                ::core::mem::offset_of!($name, $field),
                $crate::Fields::size_of(&|value: &$name| &value.$field),
            )),*],
        )
    };
}

impl Kernel {
    /// Compares a Rust struct with the WGSL struct of the same name, field by field: where each is and how large. A launch
    /// compares the sizes of whole structs only, and so takes one whose fields are in another order.
    ///
    /// # Errors
    /// [`Error::WrongLayout`], which names the first field that is elsewhere or of another size and shows the WGSL struct;
    /// [`Error::UnknownBinding`] if no binding of the shader has a struct of that name in it.
    ///
    /// # Examples
    /// ```
    /// use forall::{Kernel, fields};
    ///
    /// let step = Kernel::shader(
    ///     "struct Particle { position: vec3f, mass: f32 }
    ///      @group(0) @binding(0) var<storage, read_write> particles: array<Particle>;
    ///      @compute @workgroup_size(64)
    ///      fn step(@builtin(global_invocation_id) id: vec3u) { particles[id.x].position.y -= 0.1; }",
    /// )?;
    ///
    /// #[repr(C)]
    /// struct Particle { mass: f32, position: [f32; 3] }
    ///
    /// let error = step.check_struct(&fields!(Particle { mass, position })).unwrap_err();
    /// assert!(error.to_string().contains("`Particle.position` got offset 4, expected offset 0"), "{error}");
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn check_struct(&self, rust: &Fields) -> Result<()> {
        let mut structs = Vec::new();
        self.bindings().iter().filter_map(Binding::layout).for_each(|layout| layout.structs(&mut structs));
        let Some(wgsl) = structs.iter().find(|layout| layout.ty == rust.name) else {
            let names: Vec<&str> = structs.iter().map(|layout| layout.ty.as_str()).collect();
            return Err(Error::UnknownBinding {
                kernel: self.name().to_owned(),
                name: format!("with a struct `{}`", rust.name),
                hint: String::new(),
                names: if names.is_empty() { "no struct".to_owned() } else { names.join(", ") },
            });
        };
        compare(wgsl, rust).map_err(|(field, got, expected)| Error::WrongLayout {
            kernel: self.name().to_owned(),
            name: if field.is_empty() { rust.name.to_owned() } else { format!("{}.{field}", rust.name) },
            got,
            expected,
            help: format!(
                "a #[repr(C)] struct has its fields in the order they are written: write WGSL's, and its padding\n{wgsl}"
            )
            .into(),
        })
    }
}

/// The field that differs, what it is and what it should be.
fn compare(wgsl: &Layout, rust: &Fields) -> std::result::Result<(), (String, String, String)> {
    let Content::Struct(members) = &wgsl.content else { return Ok(()) };
    for member in members {
        let name = &member.name;
        let Some((_, offset, size)) = rust.fields.iter().find(|(field, ..)| field == name) else {
            let all = rust.fields.iter().map(|(field, ..)| *field).collect::<Vec<_>>().join(", ");
            return Err((
                name.clone(),
                format!("no such field, of {all}"),
                format!("one at offset {}", member.offset),
            ));
        };
        if *offset != member.offset as usize {
            return Err((
                name.clone(),
                format!("offset {offset}"),
                format!("offset {} ({})", member.offset, member.layout.ty),
            ));
        }
        if *size != member.layout.size as usize && !member.layout.is_runtime_sized() {
            let expected = format!("{} bytes ({})", member.layout.size, member.layout.ty);
            return Err((name.clone(), format!("{size} bytes"), expected));
        }
    }
    if rust.size != wgsl.size as usize && !wgsl.is_runtime_sized() {
        return Err((String::new(), format!("{} bytes", rust.size), format!("{} bytes", wgsl.size)));
    }
    Ok(())
}
