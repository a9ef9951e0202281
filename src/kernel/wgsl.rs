//! Reads a WGSL function body: parses, validates, finds the kernel function, and says what it takes and gives.
//!
//! Every error points into the user's text. Nothing is generated here (`map` does that) and nothing runs.

use std::ops::Range;
use std::sync::Arc;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, ArraySize, Expression, Handle, Module, ScalarKind, Statement, StorageAccess, TypeInner,
};

use crate::element::{ElementType, Scalar};
use crate::error::Result;
use crate::kernel::scan::{self, Declarations};
use crate::kernel::source::Source;
use crate::kernel::stack;
use crate::kernel::validity::{self, Explanation};
use crate::part::Shape;

/// A map kernel's function and what stands beside it.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// What the user wrote, for errors.
    pub source: Source,
    /// The WGSL that holds the function: what the user wrote, or generated around it.
    pub text: Arc<str>,
    /// The function's name in that text.
    pub function: String,
    /// The function's parameters.
    pub params: Vec<Slot>,
    /// The whole arrays, in the order of the text.
    pub wholes: Vec<Whole>,
    /// The result: one slot, or one for each member of the returned struct.
    pub outputs: Vec<Slot>,
    /// Whether the result is a struct, whose members the outputs are.
    pub result_is_struct: bool,
    /// What the names of generated code start with: nothing at module scope does.
    pub prefix: String,
}

/// A name with the type of what is bound to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub name: String,
    /// In memory: a `bool` is a `u32`.
    pub ty: ElementType,
    /// Whether WGSL has it as `bool`.
    pub is_bool: bool,
}

/// `var<storage, read> name: array<T>`.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub name: String,
    /// In memory, one element of WGSL's stride: `array<vec3<f32>>` has rows of four.
    pub ty: ElementType,
    /// The attributes to replace by a binding; empty just before `var` where there are none.
    pub attributes: Range<usize>,
}

/// The name an output has that is the function's plain result.
pub(crate) const RESULT: &str = "out";

/// Predeclared names that generated code uses, so that a kernel cannot declare something else by them.
const RESERVED: &[&str] =
    &["f32", "i32", "u32", "vec2", "vec3", "vec4", "array", "uniform", "storage", "read_write"];

/// Parses text. `text` is the user's, or generated code around it; `source` maps its places to the user's.
pub(crate) fn parse(source: &Source, text: &str) -> Result<Module> {
    naga::front::wgsl::parse_str(text).map_err(|error| {
        // The first place, or, where that is in generated text, the first in the user's.
        let user = source.offset..=source.offset + source.text.len();
        let labels: Vec<_> = error.labels().map(|(span, label)| (span.to_range(), label)).collect();
        let is_users = |place: &Option<Range<usize>>| place.as_ref().is_some_and(|p| user.contains(&p.start));
        let best = labels.iter().find(|(place, _)| is_users(place)).or(labels.first());
        let (place, label) = best.cloned().unwrap_or((None, ""));
        let mut message = error.message().replace("found \"\"", "found the end of the text");
        if place.as_ref().is_some_and(|place| place.start >= source.offset + source.text.len()) {
            // What was found is generated, and none of the user's business.
            let found = message.find(", found").unwrap_or(message.len());
            message.replace_range(found.., ", found the end of the text");
        }
        if error.notes().any(|note| note.contains("Subexpression(s) are not constant")) {
            let message = "a number here does not become what it is combined with";
            return source.invalid(place, message, "", &[validity::CONVERT.to_owned()]);
        }
        // The caret shows where; the label need not say the message again.
        let label = if message.contains(label) || label == "see msg" { "" } else { label };
        source.invalid(place, &message, label, &notes(error.notes()))
    })
}

/// naga's notes. It lists every type a function accepts, one to a line: those that forall has, on one line.
fn notes<'a>(notes: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut kept, mut types) = (Vec::new(), Vec::new());
    for note in notes {
        match note.strip_prefix("allowed type: ") {
            Some(ty) if ["Abstract", "f16", "f64", "i64", "u64"].iter().any(|other| ty.contains(other)) => {}
            Some(ty) => types.push(ty),
            None => kept.push(note.to_owned()),
        }
    }
    if let (Some(last), false) = (kept.last_mut(), types.is_empty()) {
        last.push(' ');
        last.push_str(&types.join(", "));
    }
    kept
}

/// What a map kernel may use: quantizeToF16, pack2x16float and their like, which WGSL has without any extension.
pub(crate) const CAPABILITIES: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;

/// Validates a parsed module.
pub(crate) fn validate(source: &Source, module: &Module, capabilities: Capabilities) -> Result<ModuleInfo> {
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.validate(module).map_err(|error| {
        let Explanation { message, place, help } = validity::explain(module, &error);
        source.invalid(place, &message, "", help.as_slice())
    })
}

/// Reads a function body. With several functions the kernel is the one called `function`, or the last that no other calls.
pub(crate) fn read(text: &str, function: Option<&str>) -> Result<Body> {
    // A byte order mark, as some editors write it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let declarations = scan::declarations(text);
    let guess = declarations.functions.last().map_or("wgsl", |function| &text[function.name.clone()]);
    let text: Arc<str> = text.into();
    let source = Source { name: function.unwrap_or(guess).to_owned(), text: text.clone(), offset: 0 };
    stack::with_stack_for(&text, &source, || read_source(source.clone(), text.clone(), function))
}

/// The same with `source` apart from `text`, for text generated around the user's, and on this thread's stack.
pub(crate) fn read_source(source: Source, text: Arc<str>, function: Option<&str>) -> Result<Body> {
    let mut module = parse(&source, &text)?;
    let declarations = scan::declarations(&text);
    let reader = Reader { source, text, declarations };
    reader.refuse_declarations(&module)?;
    reader.refuse_fragment(&module)?;
    for (number, (_, variable)) in (0..).zip(module.global_variables.iter_mut()) {
        // The library assigns bindings; until then any will do for validation.
        if matches!(variable.space, AddressSpace::Storage { .. }) {
            variable.binding = Some(naga::ResourceBinding { group: 0, binding: number });
        }
    }
    validate(&reader.source, &module, CAPABILITIES)?;
    reader.body(&module, function)
}

struct Reader {
    source: Source,
    text: Arc<str>,
    declarations: Declarations,
}

impl Reader {
    fn name(&self, place: &Range<usize>) -> &str {
        &self.text[place.clone()]
    }

    fn function_named(&self, name: &str) -> Option<&scan::Function> {
        self.declarations.functions.iter().find(|function| self.name(&function.name) == name)
    }

    fn variable_named(&self, name: &str) -> Option<&scan::Variable> {
        self.declarations.variables.iter().find(|variable| self.name(&variable.name) == name)
    }

    /// What valid WGSL may not hold here, whether the kernel uses it or not.
    fn refuse_declarations(&self, module: &Module) -> Result<()> {
        if let Some(entry) = module.entry_points.first() {
            let place = self.function_named(&entry.name).map(|function| function.name.clone());
            let help = "a map kernel is a plain function of one element: remove @compute, @workgroup_size and the \
                        built-in parameters, and return the element's value";
            return Err(self.source.unsupported(place, "an entry point", help));
        }
        if let Some((_, entry)) = module.overrides.iter().next() {
            let wanted = entry.name.as_deref().unwrap_or_default();
            let place = self.declarations.names.iter().find(|place| self.name(place) == wanted);
            let help = "make it a `const`, or a parameter and bind a number to it";
            return Err(self.source.unsupported(place.cloned(), "override", help));
        }
        for place in &self.declarations.names {
            let name = self.name(place);
            if RESERVED.contains(&name) {
                let construct = format!("another `{name}`");
                let help = format!("generated code needs the predeclared `{name}`: choose another name");
                return Err(self.source.unsupported(Some(place.clone()), &construct, &help));
            }
        }
        for (handle, ty) in module.types.iter() {
            let scalar = match ty.inner {
                TypeInner::Scalar(scalar)
                | TypeInner::Vector { scalar, .. }
                | TypeInner::Matrix { scalar, .. } => scalar,
                _ => continue,
            };
            if !matches!(scalar.kind, ScalarKind::Bool) && scalar.width != 4 {
                let name = describe(module, handle);
                let help =
                    "WGSL bodies compute in f32, i32, u32 and bool; a closure kernel may use f64 and i64";
                let mut tokens = scan::tokens(&self.text).into_iter();
                let place = tokens.find(|token| token.text(&self.text) == name).map(|token| token.place);
                return Err(self.source.unsupported(place, &name, help));
            }
        }
        for (handle, variable) in module.global_variables.iter() {
            let name = variable.name.as_deref().unwrap_or_default();
            let place = self
                .variable_named(name)
                .map(|variable| variable.name.clone())
                .or_else(|| module.global_variables.get_span(handle).to_range());
            let (construct, help) = match variable.space {
                AddressSpace::Private | AddressSpace::Function => continue,
                AddressSpace::Storage { access } if access == StorageAccess::LOAD => continue,
                AddressSpace::Storage { .. } => {
                    ("a writable storage variable", "return the value: each output is an array of results")
                }
                AddressSpace::Uniform => {
                    ("a uniform variable", "make it a parameter and bind a number to it")
                }
                AddressSpace::WorkGroup => (
                    "workgroup memory",
                    "elements are independent in a map kernel: use `var<private>` or a local variable",
                ),
                AddressSpace::Handle => {
                    ("a texture or sampler", "read a `var<storage, read> name: array<T>` instead")
                }
                _ => ("this address space", "use a parameter, `var<private>` or `var<storage, read>`"),
            };
            return Err(self.source.unsupported(place, construct, help));
        }
        Ok(())
    }

    /// What only a fragment shader has.
    fn refuse_fragment(&self, module: &Module) -> Result<()> {
        for (_, function) in module.functions.iter() {
            let help = "only a fragment shader, which draws pixels, has it";
            if let Some(place) = validity::place_of(&function.body, &|s| matches!(s, Statement::Kill)) {
                return Err(self.source.unsupported(Some(place), "discard", help));
            }
            let mut expressions = function.expressions.iter();
            if let Some((handle, _)) = expressions.find(|(_, e)| matches!(e, Expression::Derivative { .. })) {
                let place = function.expressions.get_span(handle).to_range();
                return Err(self.source.unsupported(place, "a derivative", help));
            }
        }
        Ok(())
    }

    /// The kernel function's name in the text.
    fn kernel_function(&self, module: &Module, wanted: Option<&str>) -> Result<Handle<naga::Function>> {
        let names = || {
            let names: Vec<&str> = self.declarations.functions.iter().map(|f| self.name(&f.name)).collect();
            names.join(", ")
        };
        if let Some(wanted) = wanted {
            let found = module.functions.iter().find(|(_, f)| f.name.as_deref() == Some(wanted));
            return found.map(|(handle, _)| handle).ok_or_else(|| {
                let message = format!("there is no function `{wanted}`; the text has: {}", names());
                self.source.invalid(None, &message, "", &[])
            });
        }
        let mut called = Vec::new();
        for (_, function) in module.functions.iter() {
            calls(&function.body, &mut called);
        }
        let position =
            |handle: Handle<naga::Function>| module.functions.get_span(handle).to_range().map(|r| r.start);
        let free =
            module.functions.iter().map(|(handle, _)| handle).filter(|handle| !called.contains(handle));
        free.max_by_key(|handle| position(*handle)).ok_or_else(|| {
            let help = "write the loop's body as one, such as `fn scale(x: f32) -> f32 { return 2.0 * x; }`";
            self.source.invalid(None, "there is no function in the text", "", &[help.to_owned()])
        })
    }

    fn body(mut self, module: &Module, wanted: Option<&str>) -> Result<Body> {
        let handle = self.kernel_function(module, wanted)?;
        let function = &module.functions[handle];
        let name = function.name.clone().unwrap_or_default();
        // Text generated around an expression: that is known by its own text, not by the name of the function around it.
        if self.source.offset == 0 {
            self.source.name.clone_from(&name);
        }
        let places = self.function_named(&name);
        let at_name = places.map(|function| function.name.clone());

        let mut params = Vec::new();
        for (i, argument) in function.arguments.iter().enumerate() {
            let place = places.and_then(|places| places.params.get(i)).cloned().or_else(|| at_name.clone());
            if argument.binding.is_some() {
                let help = "a map kernel's parameters are plain; for the element's index take a `u32` and bind Index";
                return Err(self.source.unsupported(place, "an attribute on a parameter", help));
            }
            let name = argument.name.clone().unwrap_or_default();
            params.push(self.slot(module, name, argument.ty, place, "parameter")?);
        }

        let result = places.and_then(|places| places.result.clone()).or_else(|| at_name.clone());
        let Some(returned) = &function.result else {
            let help = "a map kernel returns the element's value: add a result, such as `-> f32`";
            return Err(self.source.unsupported(at_name, "a function without a result", help));
        };
        let mut outputs = Vec::new();
        let members = match &module.types[returned.ty].inner {
            TypeInner::Struct { members, .. } => Some(members),
            _ => None,
        };
        for member in members.into_iter().flatten() {
            let name = member.name.clone().unwrap_or_default();
            outputs.push(self.slot(module, name, member.ty, result.clone(), "member of the result")?);
        }
        if members.is_none() {
            outputs.push(self.slot(module, RESULT.to_owned(), returned.ty, result, "result")?);
        }

        let wholes = self.wholes(module)?;
        for whole in &wholes {
            if params.iter().any(|param| param.name == whole.name) {
                let place = self.variable_named(&whole.name).map(|variable| variable.name.clone());
                let help = "a call could not tell them apart: rename one of them";
                let construct = format!("a whole array and a parameter both called `{}`", whole.name);
                return Err(self.source.unsupported(place, &construct, help));
            }
        }
        if params.len() + wholes.len() > Shape::MAX_PARAMS {
            let construct =
                format!("{} parameters (at most {})", params.len() + wholes.len(), Shape::MAX_PARAMS);
            let help = "take vectors, or whole arrays that hold several of them";
            return Err(self.source.unsupported(at_name, &construct, help));
        }
        let prefix = self.prefix();
        let (source, text) = (self.source, self.text);
        Ok(Body {
            source,
            text,
            function: name,
            params,
            wholes,
            outputs,
            result_is_struct: members.is_some(),
            prefix,
        })
    }

    /// The whole arrays, in the order of the text.
    fn wholes(&self, module: &Module) -> Result<Vec<Whole>> {
        let mut wholes = Vec::new();
        for (handle, variable) in module.global_variables.iter() {
            if !matches!(variable.space, AddressSpace::Storage { .. }) {
                continue;
            }
            let name = variable.name.clone().unwrap_or_default();
            let scanned = self.variable_named(&name);
            let place = scanned
                .map(|variable| variable.name.clone())
                .or_else(|| module.global_variables.get_span(handle).to_range());
            let refuse =
                |construct: &str, help: &str| Err(self.source.unsupported(place.clone(), construct, help));
            let TypeInner::Array { base, size, stride } = module.types[variable.ty].inner else {
                let construct = format!("a storage variable of type {}", describe(module, variable.ty));
                return refuse(&construct, "declare it `array<T>` of a number or a vector");
            };
            if !matches!(size, ArraySize::Dynamic) {
                return refuse(
                    "a storage array of fixed size",
                    "leave the size out, `array<T>`: the call binds an array of any length, and arrayLength() tells it",
                );
            }
            let Some(mut slot) = value_type(module, base) else {
                let construct = format!("an array of {}", describe(module, base));
                let help = "a whole array holds f32, i32, u32 or a vector of them; declare one array for each member";
                return refuse(&construct, help);
            };
            // A vec3 takes 16 bytes in an array.
            slot.0.width = u8::try_from(stride / 4).unwrap_or(u8::MAX);
            let Some(scanned) = scanned else {
                return refuse("this declaration", "write it `var<storage, read> name: array<T>;`");
            };
            wholes.push(Whole { name, ty: slot.0, attributes: scanned.attributes.clone() });
        }
        wholes.sort_by_key(|whole| whole.attributes.start);
        Ok(wholes)
    }

    /// A parameter or output of a type that arrays can hold.
    fn slot(
        &self,
        module: &Module,
        name: String,
        ty: Handle<naga::Type>,
        place: Option<Range<usize>>,
        what: &str,
    ) -> Result<Slot> {
        if let Some((ty, is_bool)) = value_type(module, ty) {
            return Ok(Slot { name, ty, is_bool });
        }
        let is_bools = matches!(module.types[ty].inner, TypeInner::Vector { scalar, .. } if scalar.kind == ScalarKind::Bool);
        let help = if is_bools {
            "bools have no layout in memory: use a vector of u32 and compare it with 0"
        } else {
            "it may be f32, i32, u32, bool, or a vector of f32, i32 or u32 (a result also a struct of those)"
        };
        let construct = format!("{what} `{name}` of type {}", describe(module, ty));
        Err(self.source.unsupported(place, &construct, help))
    }

    /// What no name at module scope starts with.
    fn prefix(&self) -> String {
        let taken =
            |prefix: &str| self.declarations.names.iter().any(|place| self.name(place).starts_with(prefix));
        let mut prefix = "forall_".to_owned();
        let mut number = 0;
        while taken(&prefix) {
            number += 1;
            prefix = format!("forall{number}_");
        }
        prefix
    }
}

/// The element type of a WGSL type in memory, and whether it is `bool`; none for what arrays do not hold.
pub(crate) fn value_type(module: &Module, ty: Handle<naga::Type>) -> Option<(ElementType, bool)> {
    inner_type(&module.types[ty].inner)
}

/// The same for a type that has no handle.
pub(crate) fn inner_type(inner: &TypeInner) -> Option<(ElementType, bool)> {
    let (scalar, width) = match *inner {
        TypeInner::Scalar(scalar) => (scalar, 1),
        TypeInner::Vector { size, scalar } => (scalar, size as u8),
        _ => return None,
    };
    let scalar = match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 4) => Scalar::F32,
        (ScalarKind::Sint, 4) => Scalar::I32,
        (ScalarKind::Uint, 4) => Scalar::U32,
        (ScalarKind::Bool, _) if width == 1 => return Some((ElementType::scalar(Scalar::U32), true)),
        _ => return None,
    };
    Some((ElementType { scalar, width }, false))
}

/// A type in WGSL's words.
pub(crate) fn describe(module: &Module, ty: Handle<naga::Type>) -> String {
    let ty = &module.types[ty];
    ty.name.as_ref().map_or_else(|| describe_inner(module, &ty.inner), |name| format!("`{name}`"))
}

/// The same for a type that has no handle.
pub(crate) fn describe_inner(module: &Module, inner: &TypeInner) -> String {
    let of = |scalar: naga::Scalar| {
        let letter = match scalar.kind {
            ScalarKind::Float => "f",
            ScalarKind::Sint => "i",
            ScalarKind::Uint => "u",
            ScalarKind::Bool => return "bool".to_owned(),
            ScalarKind::AbstractInt | ScalarKind::AbstractFloat => return "a literal".to_owned(),
        };
        format!("{letter}{}", 8 * u32::from(scalar.width))
    };
    match *inner {
        TypeInner::Scalar(scalar) => of(scalar),
        TypeInner::Vector { size, scalar } => format!("vec{}<{}>", size as u8, of(scalar)),
        TypeInner::Matrix { columns, rows, scalar } => {
            format!("mat{}x{}<{}>", columns as u8, rows as u8, of(scalar))
        }
        TypeInner::Atomic(scalar) => format!("atomic<{}>", of(scalar)),
        TypeInner::Pointer { .. } | TypeInner::ValuePointer { .. } => "a pointer".to_owned(),
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } => {
            format!("array<{}, {n}>", describe(module, base))
        }
        TypeInner::Array { base, .. } => format!("array<{}>", describe(module, base)),
        _ => "this type".to_owned(),
    }
}

/// Every function that the block calls.
fn calls(block: &naga::Block, found: &mut Vec<Handle<naga::Function>>) {
    for statement in block.iter() {
        match statement {
            Statement::Call { function, .. } => found.push(*function),
            Statement::Block(block) => calls(block, found),
            Statement::If { accept, reject, .. } => {
                calls(accept, found);
                calls(reject, found);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| calls(&case.body, found)),
            Statement::Loop { body, continuing, .. } => {
                calls(body, found);
                calls(continuing, found);
            }
            _ => {}
        }
    }
}
