//! WGSL in, numbers out: every snippet is lowered, verified and run by the oracle.

mod control;
mod limits;
mod memory;
mod values;

use super::{Unsupported, lower};
use crate::spmd::ir::Program;
use crate::spmd::memory::BufferData;
use crate::spmd::oracle;

/// What a store that never happened leaves behind.
const POISON: u32 = 0xDEAD_BEEF;

fn module(source: &str) -> (naga::Module, naga::valid::ModuleInfo) {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    let info =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    (module, info)
}

fn lowered(source: &str) -> Result<Program, Unsupported> {
    let (module, info) = module(source);
    let program = lower(&module, &info, "main")?;
    if let Err(error) = program.verify() {
        panic!("{error}\n{program}");
    }
    Ok(program)
}

/// Runs `main` on buffers in the order of their declaration; `out` is written, the others are too if they may be.
fn run_buffers(source: &str, buffers: &mut [Vec<u32>], invocations: u32) {
    let program = lowered(source).unwrap_or_else(|error| panic!("unsupported: {error:?}"));
    let mut bound: Vec<BufferData<'_>> = Vec::new();
    assert_eq!(program.buffers.len(), buffers.len(), "{program}");
    for (declared, words) in program.buffers.iter().zip(buffers) {
        bound.push(if declared.writable { BufferData::Write(words) } else { BufferData::Read(words) });
    }
    oracle::run(&program, &mut bound, invocations);
}

/// `declarations`, then a compute shader whose body stores to `out: array<T>`, run by one invocation per word of `out`.
///
/// In the body, `i` is the invocation's number.
fn run(ty: &str, declarations: &str, body: &str, words: usize) -> Vec<u32> {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<{ty}>;
         {declarations}
         @compute @workgroup_size(64)
         fn main(@builtin(global_invocation_id) gid: vec3<u32>) {{ let i = gid.x; {body} }}"
    );
    let mut buffers = [vec![POISON; words]];
    run_buffers(&source, &mut buffers, u32::try_from(words).expect("small"));
    let [out] = buffers;
    out
}

/// `out[i] = f(i)` for `i` in `0..words`, as `u32`.
fn map_u32(declarations: &str, expression: &str, words: usize) -> Vec<u32> {
    run("u32", declarations, &format!("out[i] = u32({expression});"), words)
}

/// `out[i] = f(i)` as `i32`.
fn map_i32(declarations: &str, expression: &str, words: usize) -> Vec<i32> {
    let out = run("i32", declarations, &format!("out[i] = i32({expression});"), words);
    out.into_iter().map(u32::cast_signed).collect()
}

/// Runs a body that stores floats.
fn floats(declarations: &str, body: &str, words: usize) -> Vec<f32> {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
         {declarations}
         @compute @workgroup_size(1) fn main() {{ {body} }}"
    );
    let mut buffers = [vec![POISON; words]];
    run_buffers(&source, &mut buffers, 1);
    let [out] = buffers;
    out.into_iter().map(f32::from_bits).collect()
}

/// Runs a body once that stores unsigned numbers.
fn words(declarations: &str, body: &str, words: usize) -> Vec<u32> {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
         {declarations}
         @compute @workgroup_size(1) fn main() {{ {body} }}"
    );
    let mut buffers = [vec![POISON; words]];
    run_buffers(&source, &mut buffers, 1);
    let [out] = buffers;
    out
}

/// What is refused, and the text its span covers.
fn refused(source: &str) -> (String, String) {
    let error = lowered(source).expect_err("this must be refused");
    let text = error.span.to_range().map_or(String::new(), |range| source[range].to_owned());
    (error.construct, text)
}
