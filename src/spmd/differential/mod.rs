//! One text, many ways to run it: the block interpreter on every CPU level, before and after the passes, must give the
//! oracle's bits for every number of invocations.

mod fuzz;
mod generate;
mod hostile;
mod snippets;

use super::block::Code;
use super::ir::Program;
use super::lower::lower;
use super::math::tests::{Random, edges, fusion};
use super::memory::BufferData;
use super::oracle;
use super::passes;
use crate::cpu::CpuLevel;
use snippets::SNIPPETS;

/// Lengths on both sides of chunk, workgroup and block edges.
const LENGTHS: [usize; 12] = [0, 1, 15, 16, 17, 63, 64, 65, 255, 1023, 1025, LONGEST];
const LONGEST: usize = 2100;
/// Words of input and of output per invocation.
const IN: usize = 7;
const OUT: usize = 4;
/// Words of the arrays `floats` and `words`: fewer than a snippet's indices reach.
const TABLE: usize = 37;
const POISON: u32 = 0xdead_beef;

fn wgsl(scope: &str, body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read> input: array<u32>;
        @group(0) @binding(1) var<storage, read> floats: array<f32>;
        @group(0) @binding(2) var<storage, read> words: array<u32>;
        @group(0) @binding(3) var<storage, read_write> output: array<u32>;
        var<private> at: u32;
        {scope}
        fn out(tag: u32, f: vec2<f32>, w: vec2<u32>) {{
            output[at * 4u] = bitcast<u32>(f.x);
            output[at * 4u + 1u] = bitcast<u32>(f.y);
            output[at * 4u + 2u] = w.x + tag;
            output[at * 4u + 3u] = w.y;
        }}
        @compute @workgroup_size(64)
        fn main(
            @builtin(global_invocation_id) id: vec3<u32>,
            @builtin(local_invocation_index) li: u32,
            @builtin(workgroup_id) wg: vec3<u32>,
        ) {{
            let g = id.x;
            at = g;
            let x = bitcast<f32>(input[g * 7u]);
            let y = bitcast<f32>(input[g * 7u + 1u]);
            let z = bitcast<f32>(input[g * 7u + 2u]);
            let i = bitcast<i32>(input[g * 7u + 3u]);
            let j = bitcast<i32>(input[g * 7u + 4u]);
            let u = input[g * 7u + 5u];
            let v = input[g * 7u + 6u];
            var f: vec2<f32>;
            var w: vec2<u32>;
            {body}
            out(0u, f, w);
        }}"
    )
}

fn program(name: &str, text: &str) -> Program {
    lowered(text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The program of a text, or what is wrong.
fn lowered(text: &str) -> Result<Program, String> {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SUBGROUP;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(text))?;
    let program = lower(&module, &info, "main").map_err(|e| format!("{e:?}"))?;
    match program.verify() {
        Ok(()) => Ok(program),
        Err(rule) => Err(format!("{rule}\n{program}")),
    }
}

/// Inputs in three tempers: coherent (neighbours take the same branch), small, and anything at all with many edges.
fn inputs(random: &mut Random) -> Vec<u32> {
    let edges = edges();
    let integers = [0, 1, 2, 3, 7, 31, 32, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX, u32::MAX - 6];
    let mut words = Vec::with_capacity(LONGEST * IN);
    for invocation in 0..LONGEST {
        let temper = invocation / 48 % 3;
        for slot in 0..IN {
            let bits = random.bits();
            words.push(match (temper, slot) {
                (0, 0..3) => (1.5_f32 + slot as f32).to_bits(),
                (0, _) => 5 + slot as u32,
                (1, 0..3) => ((bits % 2001) as f32 * 0.002 - 2.0).to_bits(),
                (1, _) => (bits % 129).wrapping_sub(64),
                (_, 0..3) if bits & 1 == 0 => edges[bits as usize / 2 % edges.len()].to_bits(),
                _ if bits & 2 == 0 && slot >= 3 => integers[bits as usize / 4 % integers.len()],
                _ => random.bits(),
            });
        }
    }
    words
}

fn run(program: &Program, input: &[u32], n: usize, run: impl FnOnce(&mut [BufferData<'_>], u32)) -> Vec<u32> {
    let floats: Vec<u32> = (0..TABLE).map(|at| (at as f32 * 0.75 - 9.0).to_bits()).collect();
    let words: Vec<u32> = (0..TABLE as u32).map(|at| at.wrapping_mul(0x9e37_79b9)).collect();
    // One invocation more than runs: its words must keep their poison.
    let mut output = vec![POISON; (n + 1) * OUT];
    let mut buffers = vec![];
    let mut rest = Some(&mut output[..]);
    for buffer in &program.buffers {
        buffers.push(match buffer.binding.1 {
            0 => BufferData::Read(input),
            1 => BufferData::Read(&floats),
            2 => BufferData::Read(&words),
            _ => BufferData::Write(rest.take().expect("one output")),
        });
    }
    run(&mut buffers, n as u32);
    output
}

/// The first word that differs, unless both are NaN where floats are stored.
fn difference(got: &[u32], expected: &[u32]) -> Option<usize> {
    let nan = |bits: u32| f32::from_bits(bits).is_nan();
    (0..got.len()).find(|&at| {
        let both_nan = at % OUT < 2 && nan(got[at]) && nan(expected[at]);
        got[at] != expected[at] && !both_nan
    })
}

#[test]
fn every_executor_gives_the_oracle_s_bits() {
    let mut random = Random(7);
    let mut failures = vec![];
    for &(name, scope, body) in SNIPPETS {
        let input = inputs(&mut random);
        let lowered = program(name, &wgsl(scope, body));
        let mut optimised = lowered.clone();
        passes::optimise(&mut optimised);
        for level in CpuLevel::available() {
            let expected = run(&lowered, &input, LONGEST, |buffers, n| {
                let result = oracle::run_limited(&lowered, buffers, n, fusion(level), 100_000);
                result.unwrap_or_else(|e| panic!("{name}: {e:?}"));
            });
            let (rows, _) = expected[..LONGEST * OUT].as_chunks::<OUT>();
            assert!(!rows.contains(&[POISON; OUT]), "{name}: an invocation wrote nothing");
            assert!(
                rows.iter().any(|row| *row != rows[LONGEST - 1]),
                "{name}: every invocation has the same result"
            );
            for (passes, program) in [("as lowered", &lowered), ("optimised", &optimised)] {
                let code = Code::compile(program, level);
                for n in LENGTHS {
                    let got = run(program, &input, n, |buffers, n| code.run(buffers, n));
                    let mut expected = expected[..n * OUT].to_vec();
                    expected.resize((n + 1) * OUT, POISON);
                    if let Some(at) = difference(&got, &expected) {
                        let inputs = &input[at / OUT * IN..][..IN];
                        let floats: Vec<f32> = inputs[..3].iter().map(|&bits| f32::from_bits(bits)).collect();
                        failures.push(format!(
                            "{name}, {passes}, {level}, n = {n}: word {} of invocation {} is {:#x} ({}), not {:#x} ({}); \
                             x y z = {floats:?}, i j u v = {:?}",
                            at % OUT,
                            at / OUT,
                            got[at],
                            f32::from_bits(got[at]),
                            expected[at],
                            f32::from_bits(expected[at]),
                            &inputs[3..],
                        ));
                        break;
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
