//! WGSL in, numbers out: every snippet is lowered, verified and run.

mod control;
mod effects;
mod halves;
mod limits;
mod memory;
mod shaders;
mod subgroups;
mod textures;
mod values;

use super::{Unsupported, lower, lower_alone};
use crate::cancel::Watch;
use crate::cpu::CpuLevel;
use crate::spmd::grid::Grid;
use crate::spmd::ir::Program;
use crate::spmd::memory::{Bound, BufferData};
use crate::spmd::oracle::{self, Fusion};
use crate::spmd::{block, passes};

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

/// Runs `main` on buffers in the order of their declaration: by the oracle as it was lowered, and the same again after the
/// passes, by the oracle and by the block interpreter.
fn run_buffers(source: &str, buffers: &mut [Vec<u32>], invocations: u32) {
    let program = lowered(source).unwrap_or_else(|error| panic!("unsupported: {error:?}"));
    let mut optimised = program.clone();
    passes::optimise(&mut optimised);
    let (mut second, mut third) = (buffers.to_vec(), buffers.to_vec());
    oracle::run(&program, &mut bind(&program, buffers), invocations);
    oracle::run(&optimised, &mut bind(&optimised, &mut second), invocations);
    assert_eq!(buffers, second, "the passes change the result of\n{program}to that of\n{optimised}");
    let code = block::Code::compile(&optimised, CpuLevel::detected());
    code.run(&mut bind(&optimised, &mut third), invocations);
    assert_eq!(buffers, third, "the block interpreter differs on\n{optimised}");
}

/// The same for whole workgroups.
fn run_workgroups(source: &str, buffers: &mut [Vec<u32>], workgroups: [u32; 3]) {
    let program = lowered(source).unwrap_or_else(|error| panic!("unsupported: {error:?}"));
    let mut optimised = program.clone();
    passes::optimise(&mut optimised);
    let grid = Grid::whole(workgroups, program.workgroup_size).expect("a small grid");
    let run = |program: &Program, buffers: &mut [Vec<u32>]| {
        let done = oracle::run_grid(program, &mut bind(program, buffers), &grid, Fusion::Fused, 1 << 24);
        assert!(done.is_ok(), "an invocation runs on and on:\n{program}");
    };
    let (mut second, mut third) = (buffers.to_vec(), buffers.to_vec());
    run(&program, buffers);
    run(&optimised, &mut second);
    assert_eq!(buffers, second, "the passes change the result of\n{program}to that of\n{optimised}");
    let code = block::Code::compile(&optimised, CpuLevel::detected());
    let mut data = bind(&optimised, &mut third);
    let bound = Bound::new(&mut data);
    assert_eq!(code.run_pieces(&bound, &grid, 0..code.pieces(&grid), &Watch::NEVER), Ok(()));
    drop(bound);
    assert_eq!(buffers, third, "the block interpreter differs on\n{optimised}");
}

fn bind<'a>(program: &Program, buffers: &'a mut [Vec<u32>]) -> Vec<BufferData<'a>> {
    assert_eq!(program.buffers.len(), buffers.len(), "{program}");
    let pairs = program.buffers.iter().zip(buffers);
    pairs
        .map(
            |(declared, words)| {
                if declared.writable { BufferData::Write(words) } else { BufferData::Read(words) }
            },
        )
        .collect()
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
