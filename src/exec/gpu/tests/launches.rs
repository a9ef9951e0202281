//! Whole shaders on the GPU against the CPU: every kind of binding, grids, constants, workgroups, textures, and what is refused.

use super::*;
use crate::cancel::Cancel;
use crate::cpu::CpuLevel;
use crate::exec::shader as cpu;
use crate::launch::job::{Job, check as check_job};
use crate::launch::{Bindings, Grid, IntoBindings, Texture};

pub(super) fn shader(wgsl: &str) -> Kernel {
    Kernel::shader(wgsl).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn job<'a>(kernel: &Kernel, grid: Grid, bindings: impl IntoBindings<'a>) -> Job<'a> {
    check_job(kernel, grid, bindings.into_bindings()).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn on_gpu<'a>(
    gpu: &Gpu,
    kernel: &Kernel,
    grid: Grid,
    bindings: impl IntoBindings<'a>,
) -> Result<Ran> {
    gpu.launch(&mut [job(kernel, grid, bindings)], &Watch::NEVER)
}

pub(super) fn on_cpu<'a>(kernel: &Kernel, grid: Grid, bindings: impl IntoBindings<'a>) {
    let mut job = job(kernel, grid, bindings);
    cpu::run(&mut job, CpuLevel::detected(), None, &Watch::NEVER, None).expect("runs on the CPU");
}

fn reason(error: &Error) -> &str {
    match error {
        Error::Unavailable { backend: Backend::Gpu, reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_buffer_in_groups_with_gaps() {
    let Some(gpu) = shared() else { return };
    let kernel = shader(
        "struct Params { scale: f32, offset: vec3<f32>, n: u32 }
         struct Head { count: atomic<u32>, pad: vec3<u32>, items: array<vec2<f32>> }
         @group(3) @binding(7) var<uniform> params: Params;
         @group(0) @binding(2) var<storage, read> x: array<f32>;
         @group(0) @binding(900) var<storage, read> table: array<vec3<f32>, 3>;
         @group(3) @binding(0) var<storage, read_write> out: Head;
         @group(2) @binding(0) var<storage, read_write> unused: array<u32>;
         @compute @workgroup_size(64)
         fn main(@builtin(global_invocation_id) id: vec3u) {
             if (id.x >= params.n) { return; }
             let v = params.scale * x[id.x] + table[id.x % 3].z;
             out.items[id.x] = vec2f(v + params.offset.y, f32(arrayLength(&x) + arrayLength(&out.items)));
             atomicAdd(&out.count, id.x);
         }",
    );
    #[repr(C)]
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    struct Params {
        scale: f32,
        pad: [f32; 3],
        offset: [f32; 3],
        n: u32,
    }
    let n = 1000_usize;
    let x = exact(n + 7, 1);
    let table = [[1.0_f32, 2.0, 3.0, POISON], [4.0, 5.0, 6.0, POISON], [7.0, 8.0, 9.0, POISON]];
    let run = |on: &dyn Fn(Bindings<'_>)| {
        // 32 bytes of head, then pairs; one more than is written.
        let mut out = vec![POISON_WORD; 8 + 2 * (n + 1)];
        out[0] = 5;
        let params = Params { scale: 3.0, pad: [POISON; 3], offset: [1.0, 2.0, 3.0], n: n as u32 };
        let out_bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut out);
        on(Bindings::new().value((3, 7), params).bind("x", &x).bind("table", &table).bind("out", out_bytes));
        out
    };
    let moved = std::cell::Cell::new(0);
    let got = run(&|bindings| {
        moved.set(on_gpu(gpu, &kernel, Grid::threads(n as u32), bindings).expect("runs").moved);
    });
    assert_eq!(got, run(&|bindings| on_cpu(&kernel, Grid::threads(n as u32), bindings)));
    assert_eq!(got[0], 5 + (n * (n - 1) / 2) as u32);
    assert_eq!(got[8 + 2 * n..], [POISON_WORD; 2], "beyond n");
    // Everything up, and what was written down.
    assert_eq!(moved.get(), (48 - 16 + 4 * (n + 7) + 48 + 2 * 4 * got.len()) as u64);
}

#[test]
fn grids_in_three_dimensions_and_constants() {
    let Some(gpu) = shared() else { return };
    let wgsl = "
        override width: u32 = 4;
        @id(7) override gain: u32;
        @group(0) @binding(0) var<storage, read_write> ids: array<vec4<u32>>;
        @compute @workgroup_size(width, 2, 3)
        fn other(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u,
                @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
            let size = groups * vec3u(width, 2, 3);
            ids[(id.z * size.y + id.y) * size.x + id.x] =
                vec4u(id, (group.x + groups.x * (group.y + groups.y * group.z)) * 1000 + local * gain);
        }
        @compute @workgroup_size(1) fn first() { ids[0] = vec4u(gain); }";
    for width in [1, 3, 8] {
        let options = crate::kernel::compute::ShaderOptions::new().entry("other");
        let kernel = options.constant("width", width).constant("7", 2).build(wgsl).expect("valid");
        for [x, y, z] in [[1_u32, 1, 1], [5, 1, 1], [1, 4, 1], [1, 1, 3], [3, 2, 4]] {
            let n = (x * width * y * 2 * z * 3) as usize;
            let (mut got, mut expected) = (vec![[POISON_WORD; 4]; n], vec![[POISON_WORD; 4]; n]);
            on_gpu(gpu, &kernel, Grid::workgroups([x, y, z]), (("ids", &mut got),)).expect("runs");
            on_cpu(&kernel, Grid::workgroups([x, y, z]), (("ids", &mut expected),));
            assert_eq!(got, expected, "{width}: {x} {y} {z}");
        }
    }
    // The same text, another entry point: not the same pipeline.
    let options = crate::kernel::compute::ShaderOptions::new().entry("first").constant("7", 9);
    let mut got = [[POISON_WORD; 4]; 2];
    on_gpu(gpu, &options.build(wgsl).expect("valid"), Grid::workgroups(1), (("ids", &mut got),))
        .expect("runs");
    assert_eq!(got, [[9; 4], [POISON_WORD; 4]]);
}

#[test]
fn immediate_data_take_no_feature() {
    let Some(gpu) = shared() else { return };
    for space in ["immediate", "push_constant"] {
        let kernel = shader(&format!(
            "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
             struct Push {{ by: array<f32, 3>, n: u32 }}
             var < {space} > push: Push;
             @compute @workgroup_size(4) fn scale(@builtin(global_invocation_id) id: vec3u) {{
                 if (id.x < push.n) {{ x[id.x] *= push.by[id.x % 3]; }}
             }}"
        ));
        let push = [2.0, 3.0, 4.0, f32::from_bits(5)];
        let mut x = [1.0_f32; 6];
        let bindings = Bindings::new().bind("x", &mut x).bind("push", bytemuck::bytes_of(&push));
        on_gpu(gpu, &kernel, Grid::threads(6), bindings).expect("runs");
        assert_eq!(x, [2.0, 3.0, 4.0, 2.0, 3.0, 1.0], "{space}");
    }
}

#[test]
fn workgroup_memory_is_zero_and_barriers_order_it() {
    let Some(gpu) = shared() else { return };
    let kernel = shader(
        "var<workgroup> sums: array<u32, 64>;
         var<workgroup> total: atomic<u32>;
         @group(0) @binding(0) var<storage, read> x: array<u32>;
         @group(0) @binding(1) var<storage, read_write> out: array<u32>;
         @group(0) @binding(2) var<storage, read_write> histogram: array<atomic<u32>, 8>;
         @compute @workgroup_size(64)
         fn reduce(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) i: u32,
                   @builtin(workgroup_id) group: vec3u) {
             // Not zero if the workgroup before had the same memory and nobody cleared it.
             let before = sums[63 - i] + atomicLoad(&total);
             workgroupBarrier();
             sums[i] = x[id.x];
             atomicAdd(&total, x[id.x]);
             atomicAdd(&histogram[x[id.x] % 8], 1u);
             workgroupBarrier();
             for (var step = 32u; step > 0; step /= 2) {
                 if (i < step) { sums[i] += sums[i + step]; }
                 workgroupBarrier();
             }
             if (i == 0) { out[group.x] = sums[0] + 1000000 * (before + atomicLoad(&total) - sums[0]); }
         }",
    );
    let groups = 37;
    let x: Vec<u32> = (0..64 * groups).map(|i: u32| i.wrapping_mul(2_654_435_761) >> 20).collect();
    let (mut out, mut histogram) = (vec![POISON_WORD; groups as usize], [0_u32; 8]);
    let bindings = (("x", &x), ("out", &mut out), ("histogram", &mut histogram));
    on_gpu(gpu, &kernel, Grid::workgroups(groups), bindings).expect("runs");
    let sums: Vec<u32> = x.chunks_exact(64).map(|group| group.iter().sum()).collect();
    assert_eq!(out, sums);
    for (bin, &count) in (0..).zip(&histogram) {
        assert_eq!(count as usize, x.iter().filter(|&x| x % 8 == bin).count(), "bin {bin}");
    }
}

#[test]
fn an_empty_grid_touches_nothing() {
    let kernel = shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(1) fn put() { x[0] = 1; }",
    );
    let gpu = Gpu::new(GpuOptions::default());
    for grid in [Grid::workgroups(0), Grid::workgroups([3, 0, 2]), Grid::threads(0)] {
        let mut x = [POISON_WORD];
        assert_eq!(on_gpu(&gpu, &kernel, grid, (("x", &mut x),)).expect("nothing to do").moved, 0);
        assert_eq!(on_gpu(&gpu, &kernel, grid, (("x", &mut [0_u32; 0]),)).expect("nothing to do").moved, 0);
        assert_eq!(x, [POISON_WORD]);
    }
    assert!(gpu.lock().device.is_none());
}

#[test]
fn odd_bytes_are_padded_with_zeros() {
    let Some(gpu) = shared() else { return };
    let kernel = shader(
        "@group(0) @binding(0) var<storage, read> x: array<u32>;
         @group(0) @binding(1) var<storage, read_write> out: array<u32>;
         @compute @workgroup_size(1) fn copy(@builtin(global_invocation_id) id: vec3u) {
             out[id.x] = x[id.x] + 256 * arrayLength(&x);
         }",
    );
    // From an odd address.
    let bytes: Vec<u8> = (0..41).collect();
    let (x, mut out) = (&bytes[1..], vec![0xAA_u8; 41]);
    on_gpu(gpu, &kernel, Grid::threads(10), (("x", x), ("out", &mut out[1..]))).expect("runs");
    for (i, word) in out[1..].chunks_exact(4).enumerate() {
        let i = 4 * i as u8;
        let expected = u32::from_le_bytes([i + 1, i + 2, i + 3, i + 4]) + 256 * 10;
        assert_eq!(word, expected.to_le_bytes(), "{i}");
    }
    assert_eq!(out[0], 0xAA);
}

#[test]
fn much_data_goes_in_pieces_and_comes_back_whole() {
    let Some(gpu) = shared() else { return };
    let kernel = shader(
        "@group(0) @binding(0) var<storage, read> x: array<u32>;
         @group(0) @binding(1) var<storage, read_write> out: array<u32>;
         @compute @workgroup_size(256) fn copy(@builtin(global_invocation_id) id: vec3u) {
             let i = id.y * 65535 * 256 + id.x;
             if (i < arrayLength(&x)) { out[i] = x[i] ^ i; }
         }",
    );
    // Each a little more than an upload buffer of 64 MiB.
    let n = (17 << 20) + 5;
    let x: Vec<u32> = (0..n).map(|i: u32| i.wrapping_mul(2_654_435_761)).collect();
    let mut out = vec![POISON_WORD; n as usize];
    let ran =
        on_gpu(gpu, &kernel, Grid::workgroups([65_535, 3]), (("x", &x), ("out", &mut out))).expect("runs");
    assert!((0_u32..).zip(&out).all(|(i, &got)| got == i.wrapping_mul(2_654_435_761) ^ i));
    assert_eq!(ran.moved, 3 * 4 * u64::from(n));
}

#[test]
fn storage_textures_of_every_format_and_shape() {
    let Some(gpu) = shared() else { return };
    let formats: [(&str, &str, usize); 19] = [
        ("rgba8unorm", "f32", 4),
        ("rgba8snorm", "f32", 4),
        ("rgba8uint", "u32", 4),
        ("rgba8sint", "i32", 4),
        ("rgba16uint", "u32", 8),
        ("rgba16sint", "i32", 8),
        ("rgba16float", "f32", 8),
        ("rg16uint", "u32", 4),
        ("rg16sint", "i32", 4),
        ("rg16float", "f32", 4),
        ("r32uint", "u32", 4),
        ("r32sint", "i32", 4),
        ("r32float", "f32", 4),
        ("rg32uint", "u32", 8),
        ("rg32sint", "i32", 8),
        ("rg32float", "f32", 8),
        ("rgba32uint", "u32", 16),
        ("rgba32sint", "i32", 16),
        ("rgba32float", "f32", 16),
    ];
    let shapes: [(&str, &str, &str, [u32; 3]); 7] = [
        ("1d", "id.x", "i32(textureDimensions(source))", [37, 1, 1]),
        ("2d", "id.xy", "i32(textureDimensions(source).x)", [37, 5, 1]),
        ("2d", "id.xy", "i32(textureDimensions(source).x)", [64, 3, 1]),
        ("2d_array", "id.xy, id.z", "i32(textureNumLayers(source))", [9, 4, 3]),
        ("2d_array", "id.xy, id.z", "i32(textureNumLayers(source))", [9, 4, 1]),
        ("3d", "id", "i32(textureDimensions(source).z)", [7, 4, 3]),
        ("3d", "id", "i32(textureDimensions(source).z)", [64, 2, 2]),
    ];
    let mut ran = 0;
    for (format, number, texel) in formats {
        for (shape, at, count, extent) in shapes {
            let kernel = shader(&format!(
                "@group(0) @binding(0) var source: texture_storage_{shape}<{format}, read>;
                 @group(0) @binding(1) var sink: texture_storage_{shape}<{format}, write>;
                 @compute @workgroup_size(4, 4, 1) fn copy(@builtin(global_invocation_id) id: vec3u) {{
                     if (any(id >= vec3u({}, {}, {})) || id.x == 2) {{ return; }}
                     textureStore(sink, {at}, textureLoad(source, {at}) * {number}({count} - {}));
                 }}",
                extent[0],
                extent[1],
                extent[2],
                // Times one.
                match shape {
                    "1d" | "2d" => extent[0] - 1,
                    _ => extent[2] - 1,
                }
            ));
            let n = extent.iter().product::<u32>() as usize * texel;
            // Bytes under 0x40: neither NaN nor infinite as halves or floats, and no negative snorm, which has two words for -1.
            let from: Vec<u8> = (0..n).map(|i| (i * 37 % 61) as u8).collect();
            let run = |on: &dyn Fn(Bindings<'_>)| {
                let mut to = vec![0x11_u8; n];
                on(Bindings::new()
                    .bind("source", Texture::new(&from, extent))
                    .bind("sink", Texture::new(&mut to, extent)));
                to
            };
            let grid = Grid::threads(extent);
            let got = run(&|bindings| match on_gpu(gpu, &kernel, grid, bindings) {
                Ok(_) => {}
                Err(error) => panic!("{format} {shape}: {error}"),
            });
            let expected = run(&|bindings| on_cpu(&kernel, grid, bindings));
            assert_eq!(got, expected, "{format} {shape} {extent:?}");
            let texels = extent[0] as usize;
            assert!(got.chunks(texel).enumerate().all(|(i, got)| {
                let at = i * texel;
                if i % texels == 2 { got.iter().all(|&b| b == 0x11) } else { *got == from[at..at + texel] }
            }));
            ran += 1;
        }
    }
    assert_eq!(ran, formats.len() * shapes.len());
}

#[test]
fn textures_that_are_read_whole_and_written_in_place() {
    let Some(gpu) = shared() else { return };
    let kernel = shader(
        "@group(0) @binding(0) var image: texture_2d<f32>;
         @group(0) @binding(1) var ints: texture_3d<i32>;
         @group(1) @binding(0) var state: texture_storage_2d<r32uint, read_write>;
         @compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3u) {
             if (any(id.xy >= textureDimensions(state))) { return; }
             let v = textureLoad(image, id.xy, 0).w + f32(textureLoad(ints, vec3u(id.xy % 2, 1), 0).y);
             textureStore(state, id.xy, textureLoad(state, id.xy) * 10 + u32(v));
         }",
    );
    let (w, h) = (21_u32, 13);
    let image: Vec<[f32; 4]> = (0..w * h).map(|i| [POISON, POISON, POISON, (i % 7) as f32]).collect();
    let ints: Vec<[i32; 4]> = (0..8).map(|i| [-1, i % 3, -1, -1]).collect();
    let run = |on: &dyn Fn(Bindings<'_>)| {
        let mut state: Vec<u32> = (0..w * h).collect();
        on(Bindings::new()
            .bind("image", Texture::new(&image, [w, h]))
            .bind("ints", Texture::new(&ints, [2, 2, 2]))
            .bind("state", Texture::new(&mut state, [w, h])));
        state
    };
    let grid = Grid::threads([w, h]);
    let got = run(&|bindings| assert!(on_gpu(gpu, &kernel, grid, bindings).is_ok()));
    assert_eq!(got, run(&|bindings| on_cpu(&kernel, grid, bindings)));
    assert_eq!(got[0], 1);
}

#[test]
fn half_floats_and_subgroups_where_the_adapter_has_them() {
    let Some(gpu) = shared() else { return };
    let features = gpu.device().expect("open").features;
    let halves = shader(
        "enable f16;
         @group(0) @binding(0) var<storage, read_write> x: array<f16>;
         @compute @workgroup_size(32) fn halve(@builtin(global_invocation_id) id: vec3u) {
             if (id.x < arrayLength(&x)) { x[id.x] = x[id.x] * 0.5h + 1.0h; }
         }",
    );
    // 1.0, 2.0, -4.0 and so on as halves.
    let mut x: Vec<u16> = [0x3C00_u16, 0x4000, 0xC400, 0x0000, 0x7BFF, 0x3555].repeat(11);
    let mut expected = x.clone();
    on_cpu(&halves, Grid::threads(66), (("x", &mut expected),));
    match on_gpu(gpu, &halves, Grid::threads(66), (("x", &mut x),)) {
        Ok(_) => assert_eq!(x, expected),
        Err(error) => {
            assert!(!features.contains(wgpu::Features::SHADER_F16), "{error}");
            assert!(reason(&error).contains("f16"), "{error}");
        }
    }
    let sums = shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(64) fn sum(@builtin(global_invocation_id) id: vec3u) {
             x[id.x] = subgroupAdd(1u);
         }",
    );
    let mut x = [POISON_WORD; 64];
    match on_gpu(gpu, &sums, Grid::threads(64), (("x", &mut x),)) {
        // Every invocation counts those of its subgroup, whatever size it has.
        Ok(_) => assert!(x.iter().all(|&n| n == x[0] && 64 % n == 0), "{x:?}"),
        Err(error) => {
            assert!(!features.contains(wgpu::Features::SUBGROUP), "{error}");
            assert!(reason(&error).contains("subgroup"), "{error}");
        }
    }
}

#[test]
fn what_the_device_cannot_is_refused_by_name_and_nothing_written() {
    let options = GpuOptions { max_binding_bytes: Some(1 << 20), ..GpuOptions::default() };
    let Some(gpu) = gpu(options) else { return };
    let limits = gpu.device().expect("open").limits.clone();
    let put = shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(1) fn put() { x[0] = 1; }",
    );
    let mut x = vec![POISON_WORD; 10];
    let too_many = limits.max_compute_workgroups_per_dimension + 1;
    for (axis, grid) in [[too_many, 1, 1], [1, too_many, 1], [1, 1, too_many]].into_iter().enumerate() {
        let error = on_gpu(&gpu, &put, Grid::workgroups(grid), (("x", &mut x),)).expect_err("too large");
        let words = format!("has {too_many} workgroups along {}", ["x", "y", "z"][axis]);
        let most = format!("takes at most {}; choose simd or threads", too_many - 1);
        assert!(reason(&error).contains(&words) && reason(&error).contains(&most), "{error}");
    }
    let mut large = vec![POISON_WORD; (1 << 18) + 1];
    let error = on_gpu(&gpu, &put, Grid::workgroups(1), (("x", &mut large),)).expect_err("too large");
    assert!(reason(&error).contains("`x` takes 1048580 bytes"), "{error}");
    assert!(large.iter().chain(&x).all(|&word| word == POISON_WORD));
    on_gpu(&gpu, &put, Grid::workgroups(1), (("x", &mut large[1..]),)).expect("fits");
    assert_eq!(large[1], 1);

    if limits.max_bind_groups < 9 {
        let group = shader(
            "@group(8) @binding(0) var<storage, read_write> x: array<u32>;
             @compute @workgroup_size(1) fn put() { x[0] = 1; }",
        );
        let error = on_gpu(&gpu, &group, Grid::workgroups(1), (("x", &mut x),)).expect_err("no such group");
        assert!(reason(&error).contains("`x` is in group 8"), "{error}");
    }
    let words = limits.max_compute_workgroup_storage_size / 4 + 1;
    let shared = Kernel::shader(&format!(
        "var<workgroup> s: array<u32, {words}>;
         @group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(1) fn put(@builtin(global_invocation_id) id: vec3u) {{
             s[id.x] = 3; s[{words} - 1 - id.x] = 4; workgroupBarrier(); x[0] = s[x[0]];
         }}"
    ));
    match shared {
        Ok(shared) => {
            let error = on_gpu(&gpu, &shared, Grid::workgroups(1), (("x", &mut x),)).expect_err("too much");
            assert!(reason(&error).contains("share"), "{error}");
        }
        // Too much for the CPU as well: then it never comes here.
        Err(error) => assert!(matches!(error, Error::Unsupported { .. }), "{error}"),
    }

    let features = gpu.device().expect("open").format_features(wgpu::TextureFormat::Rgba8Unorm);
    let in_place = shader(
        "@group(0) @binding(0) var image: texture_storage_2d<rgba8unorm, read_write>;
         @compute @workgroup_size(1) fn invert(@builtin(global_invocation_id) id: vec3u) {
             textureStore(image, id.xy, 1 - textureLoad(image, id.xy));
         }",
    );
    let mut image = [[10_u8, 20, 30, 255]; 12];
    let ran = on_gpu(&gpu, &in_place, Grid::threads([4, 3]), (("image", Texture::new(&mut image, [4, 3])),));
    if features.flags.contains(wgpu::TextureFormatFeatureFlags::STORAGE_READ_WRITE) {
        ran.expect("the adapter has them");
        assert_eq!(image, [[245, 235, 225, 0]; 12]);
    } else {
        let error = ran.expect_err("not on this adapter");
        assert!(
            reason(&error).contains("`image` is a texture_storage_2d<rgba8unorm, read_write>"),
            "{error}"
        );
        assert_eq!(image, [[10, 20, 30, 255]; 12]);
    }
    let side = limits.max_texture_dimension_2d + 1;
    let mut wide = vec![0_u32; side as usize];
    let row = shader(
        "@group(0) @binding(0) var image: texture_storage_2d<r32uint, write>;
         @compute @workgroup_size(1) fn put() { textureStore(image, vec2u(0), vec4u(1)); }",
    );
    let error = on_gpu(&gpu, &row, Grid::workgroups(1), (("image", Texture::new(&mut wide, [side, 1])),));
    let error = error.expect_err("too wide");
    assert!(reason(&error).contains(&format!("{side} texels along x")), "{error}");
}

#[test]
fn a_lost_device_is_an_error_the_data_is_as_before_and_the_next_launch_opens_another() {
    let Some(gpu) = gpu(GpuOptions { lose_after: Some(1), ..GpuOptions::default() }) else { return };
    let kernel = shader(ADD);
    let (mut x, n) = (vec![7_u32; 1000], Grid::threads(1000));
    let error = on_gpu(&gpu, &kernel, n, (("x", &mut x),)).expect_err("lost on the way");
    assert!(matches!(&error, Error::Gpu { lost: true, .. }), "{error:?}");
    assert!(x.iter().all(|&x| x == 7));
    let gpu = Gpu { options: GpuOptions::default(), ..gpu };
    on_gpu(&gpu, &kernel, n, (("x", &mut x),)).expect("another device");
    assert!(x.iter().all(|&x| x == 8));
    gpu.device().expect("open").destroy();
    let error = on_gpu(&gpu, &kernel, n, (("x", &mut x),)).expect_err("lost before");
    assert!(matches!(&error, Error::Gpu { lost: true, .. }), "{error:?}");
    on_gpu(&gpu, &kernel, n, (("x", &mut x),)).expect("another device");
    assert!(x.iter().all(|&x| x == 9));
}

/// Adds one to every element.
pub(super) const ADD: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(64) fn add(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&x)) { x[id.x] += 1; }
    }";

/// Takes a while: a hundred thousand rounds for every element.
pub(super) const SPIN: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(64) fn spin(@builtin(global_invocation_id) id: vec3u) {
        var s = x[id.x];
        for (var k = 0u; k < 100000; k++) { s = s * 1664525u + 1013904223u; }
        x[id.x] = s;
    }";

#[test]
fn a_stopped_launch_writes_nothing() {
    let Some(gpu) = gpu(GpuOptions { grace: Duration::from_secs(60), ..GpuOptions::default() }) else {
        return;
    };
    let (kernel, cancel) = (shader(SPIN), Cancel::new());
    let mut x = vec![7_u32; 1 << 15];
    let grid = Grid::threads(1 << 15);
    // Compiled.
    on_gpu(&gpu, &shader(SPIN), Grid::threads(64), (("x", &mut x[..64].to_vec()),)).expect("runs");
    let late = Watch { cancel: None, deadline: Some(Instant::now() + Duration::from_millis(20)) };
    let ended = gpu.launch(&mut [job(&kernel, grid, (("x", &mut x),))], &late);
    assert!(matches!(ended, Err(Error::TimeLimit { .. })), "{ended:?}");
    assert!(x.iter().all(|&x| x == 7));
    cancel.cancel();
    let cancelled = Watch { cancel: Some(cancel), deadline: None };
    let ended = gpu.launch(&mut [job(&kernel, grid, (("x", &mut x),))], &cancelled);
    assert!(matches!(ended, Err(Error::Cancelled { .. })), "{ended:?}");
    assert!(x.iter().all(|&x| x == 7));
    // It has outlived both.
    let device = gpu.device().expect("open");
    assert!(device.lost().is_none());
    let calm = Watch { cancel: Some(Cancel::new()), deadline: None };
    let mut few = [1_u32; 3];
    let ran = gpu.launch(&mut [job(&shader(ADD), Grid::threads(3), (("x", &mut few),))], &calm);
    assert!(ran.is_ok(), "{ran:?}");
    assert_eq!(few, [2; 3]);
    assert!(Arc::ptr_eq(&device, &gpu.device().expect("open")));
}

#[test]
fn a_launch_that_does_not_stop_gives_the_device_up() {
    let Some(gpu) = gpu(GpuOptions { grace: Duration::from_millis(1), ..GpuOptions::default() }) else {
        return;
    };
    let kernel = shader(SPIN);
    let mut x = vec![7_u32; 1 << 16];
    let late = Watch { cancel: None, deadline: Some(Instant::now() + Duration::from_millis(20)) };
    let ended = gpu.launch(&mut [job(&kernel, Grid::threads(1 << 16), (("x", &mut x),))], &late);
    assert!(matches!(ended, Err(Error::TimeLimit { .. })), "{ended:?}");
    assert!(x.iter().all(|&x| x == 7));
    assert!(gpu.lock().device.is_none(), "given up");
    on_gpu(&gpu, &shader(ADD), Grid::threads(10), (("x", &mut x[..10]),)).expect("another device");
    assert_eq!(x[..11], [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7]);
}
