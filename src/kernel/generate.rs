//! Writes the compute shader around a function body: bindings, the words, loads, one call, stores.
//!
//! The CPU and the GPU get the same shader but for how an invocation finds its element. Elements of vectors are packed in
//! memory (`[f32; 3]` is 12 bytes), so element arrays are arrays of scalars here and vectors are put together by component.

use std::fmt::Write;

use crate::element::{ElementType, Scalar};
use crate::kernel::shader::{Binding, ENTRY, GPU_PRELUDE, WORKGROUP};
use crate::kernel::wgsl::{Body, Slot};
use crate::part::{Bound, Shape};

/// What every generated name starts with, unless the kernel has names that do.
pub(crate) const PREFIX: &str = "forall_";

/// What runs the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An executor that runs exactly `n` invocations.
    Cpu,
    /// Whole workgroups in two dimensions, some invocations beyond the end.
    Gpu,
}

/// A shader around a body, for one way of binding its parameters.
#[derive(Debug)]
pub(crate) struct Generated {
    /// The body's text and, behind it (so that places in it hold), the generated part.
    pub text: String,
    /// Group 0 in order of binding number.
    pub bindings: Vec<Binding>,
    /// The entry point's name.
    pub entry: String,
}

/// The binding number of each whole array, in the order of [`Body::wholes`]: after the words and the element arrays.
pub(crate) fn whole_binding(body: &Body, shape: Shape, whole: usize) -> u32 {
    let arrays = (0..body.params.len()).filter(|&i| shape.bound(i) == Bound::Array).count();
    u32::try_from(1 + arrays + whole).expect("a shape has at most 32 parameters")
}

/// Writes the shader.
///
/// Its text for [`Target::Gpu`] is complete. For [`Target::Cpu`] the user's text is untouched, so that places in it are
/// places in the user's text, and the whole arrays lack their bindings: set those of [`whole_binding`] in the parsed module.
pub(crate) fn generate(body: &Body, shape: Shape, target: Target) -> Generated {
    let mut writer = Writer { declarations: String::new(), bindings: Vec::new() };
    writer.words(body, shape);

    let mut arguments = Vec::new();
    for (i, param) in body.params.iter().enumerate() {
        arguments.push(match shape.bound(i) {
            Bound::Uniform => uniform(i, param),
            Bound::Index => value(param, |_| "(forall_words.base + forall_i)".to_owned()),
            Bound::Array | Bound::Whole => {
                writer.storage(Binding::Array(i), "storage", &format!("in{i}"), param.ty.scalar);
                element(&format!("forall_in{i}"), param)
            }
        });
    }
    for i in 0..body.wholes.len() {
        let input = body.params.len() + i;
        debug_assert_eq!(whole_binding(body, shape, i) as usize, writer.bindings.len());
        writer.bindings.push(Binding::Whole(input));
    }
    let mut stores = String::new();
    for (i, output) in body.outputs.iter().enumerate() {
        writer.storage(Binding::Output(i), "storage, read_write", &format!("out{i}"), output.ty.scalar);
        let result = if body.result_is_struct { format!("forall_r.§{i}") } else { "forall_r".to_owned() };
        store(&mut stores, i, output, &result);
    }

    let prelude = match target {
        Target::Cpu => "    let forall_i = forall_id.x;\n",
        Target::Gpu => GPU_PRELUDE,
    };
    let mut generated = format!(
        "{}@compute @workgroup_size({WORKGROUP})
fn {ENTRY}(@builtin(global_invocation_id) forall_id: vec3<u32>) {{
{prelude}    let forall_r = §({});
{stores}}}
",
        writer.declarations,
        arguments.join(", ")
    );
    let mut entry = ENTRY.to_owned();
    if body.prefix != PREFIX {
        generated = generated.replace(PREFIX, &body.prefix);
        entry = entry.replace(PREFIX, &body.prefix);
    }
    // The user's names come last, so that they are never renamed; WGSL has no `§`.
    if body.result_is_struct {
        for (i, output) in body.outputs.iter().enumerate().rev() {
            generated = generated.replace(&format!("§{i}"), &output.name);
        }
    }
    generated = generated.replace('§', &body.function);

    let mut text = body.text.to_string();
    if target == Target::Gpu {
        for (i, whole) in body.wholes.iter().enumerate().rev() {
            let binding = whole_binding(body, shape, i);
            text.replace_range(whole.attributes.clone(), &format!("@group(0) @binding({binding}) "));
        }
    }
    // The user's last line may be a comment.
    text.push('\n');
    text.push_str(&generated);
    Generated { text, bindings: writer.bindings, entry }
}

struct Writer {
    declarations: String,
    bindings: Vec<Binding>,
}

impl Writer {
    /// The struct of 32-bit words: `base`, `n`, the components of every uniform parameter, and zeros up to 16 bytes, which
    /// some graphics interfaces want uniforms to be a multiple of.
    fn words(&mut self, body: &Body, shape: Shape) {
        let mut members = vec!["base: u32".to_owned(), "n: u32".to_owned()];
        for (i, param) in body.params.iter().enumerate() {
            if shape.bound(i) == Bound::Uniform {
                let scalar = param.ty.scalar.name();
                members.extend((0..param.ty.width).map(|c| format!("p{i}_{c}: {scalar}")));
            }
        }
        for pad in 0..members.len().next_multiple_of(4) - members.len() {
            members.push(format!("pad{pad}: u32"));
        }
        let _ = write!(
            self.declarations,
            "struct forall_Words {{ {} }}\n@group(0) @binding(0) var<uniform> forall_words: forall_Words;\n",
            members.join(", ")
        );
        self.bindings.push(Binding::Words);
    }

    /// One array of scalars. Reading is what `storage` alone allows, so that a kernel may have a function called `read`.
    fn storage(&mut self, binding: Binding, space: &str, name: &str, scalar: Scalar) {
        let _ = writeln!(
            self.declarations,
            "@group(0) @binding({}) var<{space}> forall_{name}: array<{}>;",
            self.bindings.len(),
            scalar.name()
        );
        self.bindings.push(binding);
    }
}

/// A vector or scalar from its components; a bool from its word.
fn value(slot: &Slot, component: impl Fn(u8) -> String) -> String {
    let ElementType { scalar, width } = slot.ty;
    if slot.is_bool {
        return format!("({} != 0u)", component(0));
    }
    if width == 1 {
        return component(0);
    }
    let components: Vec<String> = (0..width).map(component).collect();
    format!("vec{width}<{}>({})", scalar.name(), components.join(", "))
}

fn uniform(i: usize, param: &Slot) -> String {
    value(param, |c| format!("forall_words.p{i}_{c}"))
}

fn element(array: &str, param: &Slot) -> String {
    value(param, |c| format!("{array}[{}]", position(param.ty.width, c)))
}

/// The place of component `c` of this invocation's element in an array of scalars.
fn position(width: u8, c: u8) -> String {
    match (width, c) {
        (1, _) => "forall_i".to_owned(),
        (_, 0) => format!("forall_i * {width}u"),
        _ => format!("forall_i * {width}u + {c}u"),
    }
}

fn store(stores: &mut String, i: usize, output: &Slot, result: &str) {
    for c in 0..output.ty.width {
        let value = if output.is_bool {
            format!("u32({result})")
        } else if output.ty.width == 1 {
            result.to_owned()
        } else {
            format!("{result}.{}", ['x', 'y', 'z', 'w'][usize::from(c)])
        };
        let _ = writeln!(stores, "    forall_out{i}[{}] = {value};", position(output.ty.width, c));
    }
}
