//! Textures: where texels are, what is in them, and what lies outside.

use super::{POISON, lowered, refused, run_workgroups};
use crate::spmd::ir::{Class, Memory, Op, Order, Role, Stmt, TexelFormat, Texels};
use crate::spmd::passes;

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Stores `value` to the only texel of a texture of that format, then loads it from a second texture with those words.
fn there_and_back(format: &str, channel: &str, words: usize, value: &str) -> (Vec<u32>, Vec<u32>) {
    let write = format!(
        "@group(0) @binding(0) var t: texture_storage_1d<{format}, write>;
        @compute @workgroup_size(1) fn main() {{ textureStore(t, 0, vec4<{channel}>({value})); }}"
    );
    let mut buffers = [vec![POISON; words], vec![1, 1, 1]];
    run_workgroups(&write, &mut buffers, [1; 3]);
    let [texels, _] = buffers;
    let read = format!(
        "@group(0) @binding(0) var t: texture_storage_1d<{format}, read>;
        @group(0) @binding(1) var<storage, read_write> out: array<vec4<{channel}>>;
        @compute @workgroup_size(1) fn main() {{ out[0] = textureLoad(t, 0); out[1] = textureLoad(t, 1u); }}"
    );
    let mut buffers = [texels.clone(), vec![1, 1, 1], vec![POISON; 8]];
    run_workgroups(&read, &mut buffers, [1; 3]);
    assert_eq!(buffers[2][4..], [0; 4], "{format}");
    (texels, buffers[2][..4].to_vec())
}

#[test]
fn every_format_of_floats() {
    let value = "-0.5, 2.0, 0.25, 1.0";
    let numbers = [-0.5_f32, 2.0, 0.25, 1.0];
    for (format, words, stored, loaded) in [
        ("r32float", 1, bits(&numbers[..1]), [-0.5, 0.0, 0.0, 1.0]),
        ("rg32float", 2, bits(&numbers[..2]), [-0.5, 2.0, 0.0, 1.0]),
        ("rgba32float", 4, bits(&numbers), numbers),
        // -0.5 is 0xb800, 2.0 is 0x4000, 0.25 is 0x3400, 1.0 is 0x3c00.
        ("rgba16float", 2, vec![0x4000_b800, 0x3c00_3400], numbers),
        ("rg16float", 1, vec![0x4000_b800], [-0.5, 2.0, 0.0, 1.0]),
        // 0.5 + 0.25 * 255 = 64.25.
        ("rgba8unorm", 1, vec![0xff40_ff00], [0.0, 1.0, 64.0 / 255.0, 1.0]),
        ("bgra8unorm", 1, vec![0xff00_ff40], [0.0, 1.0, 64.0 / 255.0, 1.0]),
        // 0.5 - 0.5 * 127 = -63; 0.5 + 0.25 * 127 = 32.25.
        ("rgba8snorm", 1, vec![0x7f20_7fc1], [-63.0 / 127.0, 1.0, 32.0 / 127.0, 1.0]),
    ] {
        assert_eq!(there_and_back(format, "f32", words, value), (stored, bits(&loaded)), "{format}");
    }
}

#[test]
fn every_format_of_integers() {
    let (a, b) = (-3, -70_000);
    let signed = |numbers: [i32; 4]| numbers.map(i32::cast_unsigned).to_vec();
    for (format, words, stored, loaded) in [
        ("r32sint", 1, signed([a, 0, 0, 0])[..1].to_vec(), signed([a, 0, 0, 1])),
        ("rg32sint", 2, signed([a, b, 0, 0])[..2].to_vec(), signed([a, b, 0, 1])),
        ("rgba32sint", 4, signed([a, b, 300, 7]), signed([a, b, 300, 7])),
        ("rg16sint", 1, vec![0x8000_fffd], signed([a, -32768, 0, 1])),
        ("rgba16sint", 2, vec![0x8000_fffd, 0x0007_012c], signed([a, -32768, 300, 7])),
        ("rgba8sint", 1, vec![0x077f_80fd], signed([a, -128, 127, 7])),
    ] {
        assert_eq!(there_and_back(format, "i32", words, "-3, -70000, 300, 7"), (stored, loaded), "{format}");
    }
    for (format, words, stored, loaded) in [
        ("r32uint", 1, vec![3], vec![3, 0, 0, 1]),
        ("rg32uint", 2, vec![3, 70_000], vec![3, 70_000, 0, 1]),
        ("rgba32uint", 4, vec![3, 70_000, 300, 7], vec![3, 70_000, 300, 7]),
        ("rg16uint", 1, vec![0xffff_0003], vec![3, 65535, 0, 1]),
        ("rgba16uint", 2, vec![0xffff_0003, 0x0007_012c], vec![3, 65535, 300, 7]),
        ("rgba8uint", 1, vec![0x07ff_ff03], vec![3, 255, 255, 7]),
    ] {
        assert_eq!(there_and_back(format, "u32", words, "3, 70000, 300, 7"), (stored, loaded), "{format}");
    }
}

/// A blur of a picture of 21 by 13 into another one, in tiles that stick out.
const BLUR: &str = "@group(0) @binding(0) var picture: texture_2d<f32>;
    @group(0) @binding(1) var to: texture_storage_2d<rgba32float, write>;
    fn around(t: texture_2d<f32>, p: vec2<i32>) -> vec4<f32> {
        var sum = vec4<f32>();
        for (var y = -1; y <= 1; y++) { for (var x = -1; x <= 1; x++) { sum += textureLoad(t, p + vec2(x, y), 0); } }
        return sum;
    }
    @compute @workgroup_size(16, 4) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        textureStore(to, id.xy, around(picture, vec2<i32>(id.xy)));
    }";

#[test]
fn a_picture_has_edges() {
    let (w, h) = (21_i32, 13_i32);
    let texel = |x: i32, y: i32, channel: i32| {
        if x < 0 || y < 0 || x >= w || y >= h { 0.0 } else { (x + 100 * y + 5000 * channel) as f32 }
    };
    let from: Vec<f32> = (0..w * h * 4).map(|at| texel(at / 4 % w, at / 4 / w, at % 4)).collect();
    let expected: Vec<f32> = (0..w * h * 4)
        .map(|at| {
            let (x, y, channel) = (at / 4 % w, at / 4 / w, at % 4);
            (0..9).map(|k| texel(x - 1 + k % 3, y - 1 + k / 3, channel)).sum()
        })
        .collect();
    let size = vec![21, 13, 1];
    let mut buffers = [bits(&from), size.clone(), vec![POISON; 4 * 21 * 13], size];
    run_workgroups(BLUR, &mut buffers, [2, 4, 1]);
    assert_eq!(buffers[2], bits(&expected));
}

#[test]
fn rows_of_texels_are_read_in_rows() {
    let mut program = lowered(BLUR).unwrap();
    assert_eq!(program.order, Order::Rows);
    passes::optimise(&mut program);
    fn indices(block: &[Stmt], found: &mut Vec<crate::spmd::ir::Value>) {
        for stmt in block {
            match stmt {
                Stmt::Let(_, Op::Load { memory: Memory::Buffer(b), index }) if b.0 == 0 => found.push(*index),
                Stmt::Store { index, .. } => found.push(*index),
                Stmt::If { then, .. } => indices(then, found),
                Stmt::Loop { body, .. } => indices(body, found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    indices(&program.body, &mut found);
    assert_eq!(found.len(), 8);
    for index in found {
        assert_eq!(program.value(index).class, Class::Linear { stride: 4 }, "{index} of\n{program}");
    }
}

#[test]
fn layers_volumes_and_queries() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(1) @binding(3) var layers: texture_2d_array<u32>;
        @group(0) @binding(2) var volume: texture_storage_3d<r32uint, read_write>;
        @group(0) @binding(1) var line: texture_1d<i32>;
        @compute @workgroup_size(1) fn main() {
            out[0] = textureLoad(layers, vec2(1, 1), 1, 0).x; out[1] = textureLoad(layers, vec2(1u, 2u), 1, 0).y;
            out[2] = textureLoad(layers, vec2(1, 1), -1, 0).x; out[3] = textureLoad(layers, vec2(1, 1), 1, 1).x;
            let d = textureDimensions(layers); out[4] = d.x * 10 + d.y; out[5] = textureNumLayers(layers);
            out[6] = textureNumLevels(layers);
            let v = textureDimensions(volume); out[7] = v.x * 100 + v.y * 10 + v.z;
            out[8] = textureDimensions(line) + textureDimensions(line, 0);
            textureStore(volume, vec3(1, 2, 3), textureLoad(volume, vec3(0u, 1u, 2u)) + 1u);
            textureStore(volume, vec3(2, 0, 0), vec4(9u)); textureStore(volume, vec3(0, 0, -1), vec4(9u));
            out[9] = u32(textureLoad(line, 4, 0).z); out[10] = u32(textureLoad(line, 5, 0).z);
        }";
    let program = lowered(source).unwrap();
    let declared: Vec<_> =
        program.buffers.iter().map(|b| (b.name.as_str(), b.binding, b.writable, b.role)).collect();
    let texels = |format, axes| Role::Texels(Texels { format, axes });
    assert_eq!(
        declared,
        [
            ("out", (0, 0), true, Role::Data),
            ("layers", (1, 3), false, texels(TexelFormat::Rgba32Uint, 3)),
            ("layers", (1, 3), false, Role::Size),
            ("volume", (0, 2), true, texels(TexelFormat::R32Uint, 3)),
            ("volume", (0, 2), false, Role::Size),
            ("line", (0, 1), false, texels(TexelFormat::Rgba32Sint, 1)),
            ("line", (0, 1), false, Role::Size),
        ]
    );
    let (layers, volume): (Vec<u32>, Vec<u32>) = ((0..2 * 3 * 2 * 4).collect(), (0..2 * 3 * 4).collect());
    let line: Vec<u32> = (0..20).collect();
    let mut buffers =
        [vec![POISON; 11], layers, vec![2, 3, 2], volume.clone(), vec![2, 3, 4], line, vec![5, 1, 1]];
    run_workgroups(source, &mut buffers, [1; 3]);
    // Texel (1, 1) of layer 1 is 1 + 2 (1 + 3) = 9.
    assert_eq!(buffers[0], [36, 45, 0, 0, 23, 2, 1, 234, 10, 18, 0]);
    let mut expected = volume;
    // (1, 2, 3) is the last of 24 and (0, 1, 2) is 2 (1 + 3 · 2).
    expected[23] = 14 + 1;
    assert_eq!(buffers[3], expected);
}

#[test]
fn a_depth_texture_has_one_number_a_texel() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
        @group(0) @binding(1) var depth: texture_depth_2d;
        @group(0) @binding(2) var layers: texture_depth_2d_array;
        fn at(t: texture_depth_2d, x: i32) -> f32 { return textureLoad(t, vec2(x, 1), 0); }
        @compute @workgroup_size(1) fn main() {
            out[0] = at(depth, 2); out[1] = at(depth, 3); out[2] = at(depth, -1);
            out[3] = textureLoad(layers, vec2(1u, 0u), 1, 0); out[4] = textureLoad(layers, vec2(1, 0), 2, 0);
            out[5] = f32(textureDimensions(depth).x * 10 + textureNumLayers(layers));
        }";
    let texels = |n: u32| bits(&(1..=n).map(|i| i as f32 / 8.0).collect::<Vec<f32>>());
    let mut buffers = [vec![POISON; 6], texels(6), vec![3, 2, 1], texels(4), vec![2, 1, 2]];
    run_workgroups(source, &mut buffers, [1; 3]);
    assert_eq!(buffers[0], bits(&[0.75, 0.0, 0.0, 0.5, 0.0, 32.0]));
}

#[test]
fn what_is_no_plain_texture_is_refused_by_name_and_line() {
    for (declaration, body, construct, text) in [
        (
            "var t: texture_2d<f32>; @group(0) @binding(2) var s: sampler;",
            "x = textureSampleLevel(t, s, vec2f(), 0.0);",
            "textureSampleLevel",
            "textureSampleLevel",
        ),
        (
            "var t: texture_2d<f32>; @group(0) @binding(2) var s: sampler;",
            "x = textureGather(1, t, s, vec2f());",
            "textureGather",
            "textureGather",
        ),
        (
            "var t: texture_depth_multisampled_2d;",
            "x.x = textureLoad(t, vec2u(), 0);",
            "a multisampled texture",
            "var t",
        ),
        (
            "var t: texture_multisampled_2d<f32>;",
            "x = textureLoad(t, vec2u(), 0);",
            "a multisampled texture",
            "var t",
        ),
        ("var t: texture_cube<f32>;", "x.x = f32(textureDimensions(t).x);", "a cube texture", "var t"),
        (
            "var t: texture_storage_2d<rg11b10ufloat, write>;",
            "textureStore(t, vec2u(), x);",
            "the texel format rg11b10ufloat",
            "var t",
        ),
        (
            "var t: texture_storage_2d<r32uint, atomic>;",
            "textureAtomicAdd(t, vec2u(), 1u);",
            "atomic operations on a texture",
            "var t",
        ),
    ] {
        let source = format!(
            "@group(0) @binding(1) {declaration}
            @group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
            @compute @workgroup_size(1) fn main() {{ var x: vec4f; {body} out[0] = x; }}"
        );
        let (got, at) = refused(&source);
        assert_eq!(got, construct, "{body}");
        assert!(at.starts_with(text), "{body}: {at}");
    }
}
